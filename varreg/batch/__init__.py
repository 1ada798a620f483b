"""Registration of many pairs, by threads or worker processes."""
