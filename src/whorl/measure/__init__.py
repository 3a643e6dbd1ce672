"""measure: metrics, intervals and paired tests over plain numbers. numpy only; knows no model, no task and no file."""
