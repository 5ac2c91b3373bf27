-- Asks for one path after the other, so that each is as far from its last use as it can be.
-- Told: what stands before the number, how many there are, what stands behind it. A number has five digits.
local requests, at, threads = {}, 0, 0

function setup(thread)
   thread:set("half", threads)
   threads = threads + 1
end

function init(args)
   local before, count, behind = args[1], tonumber(args[2]), args[3]
   for number = 0, count - 1 do
      requests[number + 1] = wrk.format(nil, string.format("%s%05d%s", before, number, behind))
   end
   -- The second thread starts in the middle.
   at = math.floor(half * count / 2)
end

function request()
   at = at % #requests + 1
   return requests[at]
end
