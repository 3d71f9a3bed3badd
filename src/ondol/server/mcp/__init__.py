"""The Model Context Protocol: what programs may see of the house, over HTTP and over a pipe."""
