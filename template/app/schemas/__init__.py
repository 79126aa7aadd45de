"""What goes over the wire. Input and output are separate models: neither shows the other's fields, nor a table's."""
