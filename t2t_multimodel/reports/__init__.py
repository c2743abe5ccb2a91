"""Pages for people: the report of a run, the page of mm-datagen --inspect, the demo."""
