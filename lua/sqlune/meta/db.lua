---@meta

---Databases, for SQL that nobody reviewed: a connection only reads, a statement has a deadline and limits.
---@class sqlune.db
local db = {}

---@class sqlune.db.Connection
---@field dialect? string      "sqlite" (the default), "postgresql", "mysql"
---@field path? string         file of a SQLite database
---@field host? string         of a server; absent: what the client library's environment says (PGHOST …), its defaults
---@field port? integer        of a server
---@field user? string         of a server
---@field password? string     of a server; absent: the environment's, ~/.pgpass, ~/.my.cnf
---@field database? string     of a server
---@field socket? string       instead of a host: PostgreSQL's folder of sockets, MySQL's socket file
---@field sslmode? string      "disable", "prefer", "require", "verify-ca", "verify-full"
---@field ssl_ca? string       file of the certificates that may sign the server's
---@field timeout? number      seconds per statement, 30
---@field max_rows? integer    rows of one result, 1,000,000
---@field max_bytes? integer   bytes of one result, 256 MiB; a value counts 16 and its text
---@field max_length? integer  bytes of one value that a statement makes or reads, 1 MiB; SQLite only
---@field reversed? boolean    rows whose order no statement says come the other way round; SQLite only

---@class sqlune.db.QueryOptions
---@field timeout? number     seconds; the connection's if absent
---@field max_rows? integer   more rows than this are an error (SQLUNE_LIMIT)
---@field max_bytes? integer  more bytes than this are an error (SQLUNE_LIMIT)

---@class sqlune.db.Result
---@field columns string[]  names, as the database gives them
---@field rows any[][]      integers, floats, strings, booleans, json.null for NULL, { blob = bytes }
---@field seconds number    from the start of the statement to its last row

---@class sqlune.db.Db
local handle = {}

---Runs one statement and gives all its rows; printed, the result is a table. Codes: SQLUNE_DENIED (not allowed here),
---SQLUNE_TIMEOUT, SQLUNE_LIMIT, SQLUNE_FORMAT (the file is damaged), SQLUNE_DB (anything else the database refuses).
---@param sql string
---@param options? sqlune.db.QueryOptions
---@return sqlune.db.Result? result
---@return string? message
---@return string? code
function handle:query(sql, options) end

---Closes the connection. Again is harmless.
function handle:close() end

---Opens a database for reading.
---@param database string|sqlune.db.Connection  a path, or a connection
---@return sqlune.db.Db? db
---@return string? message  names the file
---@return string? code
function db.open(database) end

---Makes a new SQLite file from a script of any number of statements. A file that exists is an error, and nothing is
---left behind when a statement fails.
---@param path string
---@param script string
---@param from? string  a SQLite file whose contents are copied first
---@return boolean? ok
---@return string? message
---@return string? code
function db.create(path, script, from) end

---Columns that a text takes on a terminal: wide characters count 2, combining marks 0.
---@param text string
---@return integer
function db.width(text) end

return db
