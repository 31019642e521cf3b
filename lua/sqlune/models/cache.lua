-- The cache of keys and values that generation reads, in pages: a sequence has as many as its tokens fill, several may
-- share one, and what a sequence gives back is another's.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

---Rows of a page. No block of keys that a kernel works on crosses a page's end; at most 63 rows of a sequence lie idle.
M.page_rows = 64
local ROWS <const> = M.page_rows

---@class sqlune.models.Cache
---@field capacity integer    tokens a sequence may have
---@field limit integer       pages there may be
---@field total integer       pages there are
---@field lengths integer[]   tokens that each sequence has
---@field pages integer[][]   numbers of each sequence's pages, from 0
---@field users table<integer, integer>  how many sequences have a page
---@field free integer[]      pages that nobody has, the next one last
---@field k userdata[]        rows of all pages of each layer, [total * 64, KV, D]
---@field v userdata[]
---@field kept table<any, userdata> what layers keep from step to step
---@field unrecorded? boolean  a layer's steps cannot be recorded (sq.graph)
---@field in_pages userdata[][] the same as { [total, 64, KV, D], … } of k and v
local Cache = {}
Cache.__index = Cache

local function integers(list, device) return sq.tensor(list, { dtype = "i64", device = device }) end

---Pages that so many tokens fill.
---@param tokens integer
---@return integer
function M.pages_of(tokens) return (tokens + ROWS - 1) // ROWS end
local pages_of = M.pages_of

---A cache for `sequences` sequences of up to `capacity` tokens. Memory is taken as they grow.
---@param sequences integer
---@param capacity integer
---@param limit? integer  tokens in all, rounded down to whole pages; nil: what all sequences could have
---@return sqlune.models.Cache
function M.new(layers, sequences, capacity, kv_heads, dim, dtype, device, limit)
  local most = sequences * pages_of(capacity)
  local c = {
    capacity = capacity, limit = limit and math.min(limit // ROWS, most) or most, total = 0, lengths = {}, pages = {},
    users = {}, free = {}, k = {}, v = {}, in_pages = {}, kept = {}, kv_heads = kv_heads, dim = dim,
    how = { dtype = dtype, device = device or "cpu" },
  }
  for s = 1, sequences do c.lengths[s], c.pages[s] = 0, {} end
  for i = 1, layers do
    c.k[i], c.v[i] = sq.empty({ 0, kv_heads, dim }, c.how):keep(), sq.empty({ 0, kv_heads, dim }, c.how):keep()
    c.in_pages[i] = {}
  end
  return setmetatable(c, Cache)
end

---Gives the memory back.
function Cache:close()
  for i = 1, #self.k do
    for _, x in ipairs { self.k[i], self.v[i], table.unpack(self.in_pages[i]) } do x:close() end
  end
  for _, x in pairs(self.kept) do x:close() end
  self.k, self.v, self.in_pages, self.kept = {}, {}, {}, {}
end
Cache.__close = Cache.close

---Makes room for `wanted` more pages than are free: twice as many as there are, if there may be.
local function grow(self, wanted)
  local least = self.total - #self.free + wanted
  if least > self.limit then
    local text = "the cache is full: %d pages of %d tokens are taken, %d more are wanted, %d there may be"
    error(text:format(self.total - #self.free, ROWS, wanted, self.limit), 4)
  end
  local total = math.min(self.limit, math.max(least, 2 * self.total))
  local _s <close> = sq.scope()
  local function grown(x)
    local y = sq.empty({ total * ROWS, self.kv_heads, self.dim }, self.how):keep()
    if self.total > 0 then ops.copy_(y:narrow(1, 1, self.total * ROWS), x:narrow(1, 1, self.total * ROWS)) end
    x:close()
    return y
  end
  local shape = { total, ROWS, self.kv_heads, self.dim }
  for i, old in ipairs(self.in_pages) do
    for _, x in ipairs(old) do x:close() end
    self.k[i] = grown(self.k[i])
    self.v[i] = grown(self.v[i])
    self.in_pages[i] = { self.k[i]:reshape(shape):keep(), self.v[i]:reshape(shape):keep() }
  end
  for page = total - 1, self.total, -1 do table.insert(self.free, total - page, page) end
  self.total = total
end

local function take(self)
  local page = table.remove(self.free)
  if page then self.users[page] = 1 end
  return page
end

local function give(self, page)
  self.users[page] = self.users[page] - 1
  if self.users[page] == 0 then self.free[#self.free + 1] = page end
end

---The last page of a sequence, if it has room for the next token and others have it, too.
local function shared_page(self, s)
  local page = self.lengths[s] % ROWS > 0 and self.pages[s][self.lengths[s] // ROWS + 1] or nil
  return page and self.users[page] > 1 and page
end

---Gives sequences pages for `counts` more tokens each, and those that write into a page of others one of their own.
local function make_room(self, sequences, counts)
  local wanted, writers = 0, {}
  for n, s in ipairs(sequences) do
    wanted = wanted + math.max(0, pages_of(self.lengths[s] + counts[n]) - #self.pages[s])
    local shared = shared_page(self, s)
    if shared then wanted, writers[shared] = wanted + 1, (writers[shared] or 0) + 1 end
  end
  for page, count in pairs(writers) do
    if count == self.users[page] then wanted = wanted - 1 end -- the last of them keeps it
  end
  if wanted > #self.free then grow(self, wanted) end
  local source, target = {}, {}
  for n, s in ipairs(sequences) do
    local mine, shared = self.pages[s], shared_page(self, s)
    if shared then
      local own = take(self)
      for i = 0, self.lengths[s] % ROWS - 1 do
        source[#source + 1], target[#target + 1] = shared * ROWS + i, own * ROWS + i
      end
      give(self, shared)
      mine[self.lengths[s] // ROWS + 1] = own
    end
    while #mine < pages_of(self.lengths[s] + counts[n]) do mine[#mine + 1] = take(self) end
  end
  if #source == 0 then return end
  local _s <close> = sq.scope()
  source, target = integers(source), integers(target)
  for i = 1, #self.k do
    ops.write_rows_(self.k[i], target, ops.gather_rows(self.k[i], source))
    ops.write_rows_(self.v[i], target, ops.gather_rows(self.v[i], source))
  end
end

---The tokens of a sequence go, its pages are free.
---@param s integer
function Cache:drop(s)
  for i = #self.pages[s], 1, -1 do give(self, self.pages[s][i]) end -- to be taken in this order again
  self.pages[s], self.lengths[s] = {}, 0
end

---Makes each sequence what another one was, by sharing its pages: sequence s becomes parents[s]; those behind have
---nothing left.
---@param parents integer[]
function Cache:reorder(parents)
  local pages, lengths = {}, {}
  for s, parent in ipairs(parents) do
    pages[s], lengths[s] = table.move(self.pages[parent], 1, #self.pages[parent], 1, {}), self.lengths[parent]
    for _, page in ipairs(pages[s]) do self.users[page] = self.users[page] + 1 end
  end
  for s = 1, #self.pages do
    self:drop(s)
    if pages[s] then self.pages[s], self.lengths[s] = pages[s], lengths[s] end
  end
end

---Page numbers of some sequences, a line each, -1 behind a line's last.
local function table_of(self, sequences, most)
  local list = {}
  for _, s in ipairs(sequences) do
    for j = 1, most do list[#list + 1] = self.pages[s][j] or -1 end
  end
  return list
end

---Describes new tokens of some sequences: where they stand, and where attention finds their keys.
---@param sequences integer[]   which sequences (from 1)
---@param counts integer[]      new tokens of each
---@return table at             what a model's layers take
function Cache:extend(sequences, counts)
  local positions, rows, write, lengths, most, fresh = {}, { 0 }, {}, {}, 1, true
  for n, s in ipairs(sequences) do
    if self.lengths[s] + counts[n] > self.capacity then
      local text = "sequence %d: %d tokens do not fit into a cache of %d"
      error(text:format(s, self.lengths[s] + counts[n], self.capacity), 2)
    end
  end
  make_room(self, sequences, counts)
  for n, s in ipairs(sequences) do
    local first, pages = self.lengths[s], self.pages[s]
    for p = first, first + counts[n] - 1 do
      positions[#positions + 1] = p
      write[#write + 1] = pages[p // ROWS + 1] * ROWS + p % ROWS
    end
    rows[n + 1] = rows[n] + counts[n]
    lengths[n] = first + counts[n]
    self.lengths[s] = lengths[n]
    most, fresh = math.max(most, #pages), fresh and first == 0
  end
  local at = {
    positions = integers(positions), rows = integers(rows), write = integers(write),
    longest = math.max(table.unpack(lengths)), cache = self, sequences = sequences,
  }
  if not fresh then
    at.lengths = integers(lengths)
    at.pages = integers(table_of(self, sequences, most)):reshape { #sequences, most }
  end
  return at
end

---Keeps new keys and values of layer i; gives those that attention reads. Where no sequence had a token before, these
---are the new ones as they are, and at.pages and at.lengths are nil.
---@param i integer
---@param k userdata  [T, KV, D], as v
---@param v userdata
---@param at table    of extend() or follow()
---@return userdata k
---@return userdata v
function Cache:store(i, k, v, at)
  ops.write_rows_(self.k[i], at.write, k)
  ops.write_rows_(self.v[i], at.write, v)
  if not at.pages then return k, v end
  return table.unpack(self.in_pages[i])
end

---Describes steps of one token for each of some sequences by tensors of the cache's device, which `advance` moves on to
---the next step: a card can repeat such a step by itself (sq.graph). Before each step `ready` sees to the pages.
---@param sequences integer[]
---@return table at               what a model's layers take
---@return fun() advance          the last act of a step
---@return fun(going: table<integer, boolean>): boolean ready  false: too few pages are free for those that go on, or
---one that has ended is at the cache's end; after grown() another follow() sees to that
function Cache:follow(sequences)
  local device, count, ones = self.how.device, #sequences, {}
  for n = 1, count do ones[n] = 1 end
  make_room(self, sequences, ones)
  local rows, moving = { 0 }, {} -- moving: positions, lengths with the new token, rows to write
  for n, s in ipairs(sequences) do
    local length = self.lengths[s]
    rows[n + 1] = n
    moving[n], moving[count + n] = length, length + 1
    moving[2 * count + n] = self.pages[s][length // ROWS + 1] * ROWS + length % ROWS
  end
  local most = pages_of(self.capacity)
  local all, one = integers(moving, device):reshape { 3, count }, integers({ 1 }, device)
  local pages = integers(table_of(self, sequences, most), device)
  local at = {
    positions = all:select(1, 1), lengths = all:select(1, 2), write = all:select(1, 3), rows = integers(rows, device),
    pages = pages:reshape { count, most }, longest = self.capacity, cache = self, sequences = sequences,
  }
  local steps, each_page, each_moving = 0, pages:reshape { -1, 1 }, all:reshape { -1, 1 }

  ---Numbers of sequences that begin a page get one, in the tables as in the cache.
  local function ready(going)
    local entry, number, write, first = {}, {}, {}, {}
    for n, s in ipairs(sequences) do
      local length, mine = self.lengths[s] + steps, self.pages[s]
      local place = length // ROWS + 1
      if length >= self.capacity then
        if not going[s] then return false end
        error(("sequence %d: %d tokens do not fit into a cache of %d"):format(s, length + 1, self.capacity), 2)
      end
      if length % ROWS == 0 and steps > 0 then
        if going[s] and not mine[place] then mine[place] = take(self) end
        if going[s] and not mine[place] then return false end
        local page = mine[place] or mine[#mine] -- who has ended writes over what it has
        entry[#entry + 1], number[#number + 1] = (n - 1) * most + place - 1, page
        write[#write + 1], first[#first + 1] = 2 * count + n - 1, page * ROWS
      end
    end
    steps = steps + 1
    if #entry == 0 then return true end
    local _s <close> = sq.scope()
    ops.write_rows_(each_page, integers(entry), integers(number, device):reshape { -1, 1 })
    ops.write_rows_(each_moving, integers(write), integers(first, device):reshape { -1, 1 })
    return true
  end
  return at, function() ops.copy_(all, all + one) end, ready
end

---Tells the cache that these sequences have grown by `count` tokens in steps that follow() described.
---@param sequences integer[]
---@param count integer
function Cache:grown(sequences, count)
  for _, s in ipairs(sequences) do self.lengths[s] = self.lengths[s] + count end
end

return M
