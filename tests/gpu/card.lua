-- What the card is that the tests will run on; without one they cannot.
local sq = require "sqlune"

local ok, why = pcall(sq.zeros, { 1 }, { device = "cuda:0" }) -- it is asked for free memory once it was used
if not ok then
  io.stderr:write(tostring(why), "\n")
  os.exit(1)
end
local card = sq.devices()[2]
print(("%s, compute capability %s, %.1f of %.1f GiB free"):format(card.description, card.capability,
  card.free_bytes / 2 ^ 30, card.total_bytes / 2 ^ 30))
