-- bench/real_lua.lua -- a Lua program: tables, closures, strings.
-- Argument: rounds. Prints a checksum, the same for every allocator.

local rounds = tonumber(arg[1])
local check = 0

local function tree(depth)
  if depth == 0 then return {} end
  return {tree(depth - 1), tree(depth - 1)}
end

local function count(t)
  return t[1] and 1 + count(t[1]) + count(t[2]) or 1
end

local function strings(n, seed)
  local parts, seen = {}, {}
  for i = 1, n do
    local s = ("%x-%d"):format(i * 7919 + seed, (i * 31) % 1009)
    parts[#parts + 1] = s
    seen[s:sub(-4)] = (seen[s:sub(-4)] or 0) + 1
  end
  local text = table.concat(parts, ",")
  local sum = 0
  for a, b in text:gmatch("(%x+)-(%d+)") do
    sum = sum + #a + tonumber(b)
  end
  return sum, seen
end

local function objects(n)
  local list = {}
  for i = 1, n do
    local hidden = i
    list[i] = {
      id = i, pos = {x = i, y = -i},
      next = function() hidden = hidden + 1; return hidden end,
    }
  end
  local sum = 0
  for i = 1, n do sum = sum + list[i].next() + list[i].pos.x end
  return sum
end

local kept = {}
for round = 1, rounds do
  check = check + count(tree(16)) + objects(80000)
  local sum, seen = strings(150000, round)
  check = check + sum
  kept[round % 3] = seen
end
print(check)
