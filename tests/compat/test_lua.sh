#!/bin/bash
# lua: tables, strings, coroutines, closures, its collector over realloc.
. "$(dirname "$0")/lib.sh"
lua=
for candidate in lua5.4 lua5.3 lua; do
  command -v $candidate >/dev/null 2>&1 && lua=$candidate && break
done
[ -n "$lua" ] || skip "lua is not installed"
cat >work.lua <<'END'
local t, x, sum = {}, 1, 0
for i = 1, 600000 do
  x = (x * 1103515245 + 12345) % 2147483648
  t[x % 30000] = {i, tostring(x), name = ("n"):rep(x % 40)}
  local o = t[(x >> 7) % 30000]
  if o then sum = sum + #o.name end
end
print(sum)
local words = {}
for k, v in pairs(t) do words[#words + 1] = v[2] .. v.name end
table.sort(words)
print(#words, words[1], #table.concat(words))
local made = {}
for n = 1, 5000 do
  made[n] = coroutine.wrap(function(a)
    local s = ""
    for i = 1, 5 do s = s .. a .. i; coroutine.yield(#s) end
    return s
  end)
end
local total = 0
for i = 1, 5 do for n = 1, 5000 do total = total + made[n](n) end end
print(total)
local s = {}
for i = 1, 200000 do s[i] = i end
for i = 1, 200000 do s[i] = nil end
collectgarbage() collectgarbage("generational")
for i = 1, 200000 do local _ = {i, {i}} end
print(("x"):rep(30000000):len())
END
compare "$lua" 25 $lua work.lua
exit 0
