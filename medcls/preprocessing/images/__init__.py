"""Images between a scan and the input of a network: their values, axes and traits."""
