"""This installation, attacked with every corpus that comes with it (``running``)."""
