-- How many other conversations of the owner are active.
return math.max(0, redis.call('SCARD', actives .. field('owner')) - 1)
