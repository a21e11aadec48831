"""Tables, figures and published pages."""
