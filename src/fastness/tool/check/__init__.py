"""`fastness check`: rules over the model of a service. What the model knows is in `fastness.tool.project`."""
