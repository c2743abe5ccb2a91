"""HTML and Markdown pages: the report of a run, the page of mm-datagen --inspect, and the demo that ends in a report."""
