"""Pictures of results, drawn on matplotlib Axes: by `.plot()` in the reader's colors, by the report in the page's."""
