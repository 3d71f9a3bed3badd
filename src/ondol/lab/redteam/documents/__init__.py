"""Files that do their worst to whoever reads them."""
