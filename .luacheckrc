std = "lua54"
max_line_length = 120
ignore = { "211/_.*", "211/s", "212/_.*", "213/_.*" }
files["lua/sqlune/meta"] = { ignore = { "212", "241" } }
