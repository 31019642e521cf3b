---@meta

---Schemas of databases, and M-Schema: the text in which a model reads them.
---@class sqlune.schema
local schema = {}

---@class sqlune.schema.ReadOptions
---@field db_id? string             printed after 【DB_ID】; the file's name without its ending
---@field schema? string            schema of a database that has several; "main" for SQLite
---@field include_tables? string[]  only these
---@field ignore_tables? string[]   all but these
---@field view_support? boolean     views too
---@field example_seconds? number   for the example values of one column, 2; a slower table shows some of its first rows

---@class sqlune.schema.TextOptions
---@field selected_tables? string[]      only these, in any case
---@field example_num? integer           values per column, 3
---@field each_example_max_len? integer  characters of a value, 30; longer ones are left out
---@field show_type_detail? boolean      VARCHAR(20) instead of VARCHAR
---@field table_type? string             only tables of this type: "table", "view"

---@class sqlune.schema.SelectOptions
---@field selected_tables? string[]  only these, in any case
---@field select_col_list? string[]  only these columns, "table.column"; replaces selected_tables
---@field select_values_dict? table<string, string[]>  values to show first, by "table.column"
---@field example_num? integer       values per column, 3
---@field show_type_detail? boolean  VARCHAR(20) instead of VARCHAR

---@class sqlune.schema.Schema
local handle = {}

---The M-Schema text, byte for byte what the original's `to_mschema` prints.
---@param options? sqlune.schema.TextOptions
---@return string
function handle:text(options) end

---The text of a part, as the original's `to_mschema_with_selected` prints it: short tables first, chosen columns,
---chosen values in front, values up to 100 characters.
---@param options? sqlune.schema.SelectOptions
---@return string
function handle:text_selected(options) end

---The schema as JSON, as `save` writes it.
---@return string
function handle:json() end

---Writes the JSON file of the original's `MSchema.save`, atomically.
---@param path string
---@return boolean? ok
---@return string? message
---@return string? code
function handle:save(path) end

---Gives its memory back now. Again is harmless.
function handle:close() end

---@class sqlune.schema.ParsedColumn
---@field name string
---@field type string            "" if the text has none
---@field comment string
---@field primary_key boolean
---@field examples string[]      examples_text cut at ", "
---@field examples_text? string  what stands between the brackets
---@field prefix? string         what announces the examples: "Examples:", "--" …
---@field line string            the column as text, in parentheses

---@class sqlune.schema.ParsedTable
---@field name string
---@field comment string
---@field key string  the whole heading
---@field columns sqlune.schema.ParsedColumn[]

---@class sqlune.schema.Parsed
---@field db_id? string
---@field tables sqlune.schema.ParsedTable[]
---@field foreign_keys { table: string, column: string, ref_table: string, ref_column: string }[]

---Reads the schema of a database.
---@param database string|sqlune.db.Connection|sqlune.db.Db  a path, a connection, or an open database
---@param options? sqlune.schema.ReadOptions
---@return sqlune.schema.Schema? schema
---@return string? message  names the file
---@return string? code
function schema.read(database, options) end

---Loads a schema that `save`, or the original, wrote.
---@param path string
---@return sqlune.schema.Schema? schema
---@return string? message  with file, line and column
---@return string? code
function schema.load(path) end

---Makes a schema of the text that `json` gives: for changes to it in between.
---@param text string
---@return sqlune.schema.Schema? schema
---@return string? message
---@return string? code
function schema.from_json(text) end

---Reads an M-Schema text. Never fails: odd text gives odd names or nothing.
---@param text string
---@return sqlune.schema.Parsed
function schema.parse(text) end

return schema
