/* The whole allocator against a table of what is live: random calls over all
 * sizes; no two objects overlap, contents stay, zeroes are zero. */
#include "support.h"

#include "almacen.h"
#include "api/alloc.h"

enum { OBJECTS_MAX = 3000, HANDLED_BYTES_MAX = 96 << 20 };

struct object {
  uintptr_t start;
  size_t size; /* as asked for */
  size_t usable;
  uint64_t tag;
};

static struct {
  struct object objects[OBJECTS_MAX]; /* sorted by start */
  size_t count;
  size_t bytes;
  uint64_t next_tag;
} m;

/* The first object that starts at or above p. */
static size_t place_of(uintptr_t p) {
  size_t low = 0, high = m.count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (m.objects[middle].start < p) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static void add(void *p, size_t size) {
  uintptr_t start = (uintptr_t)p;
  size_t usable = alm_malloc_usable_size(p);
  size_t at = place_of(start);
  REQUIRE(m.count < OBJECTS_MAX);
  REQUIRE(usable >= size && usable > 0);
  REQUIRE(at == m.count || start + usable <= m.objects[at].start);
  REQUIRE(at == 0 ||
          m.objects[at - 1].start + m.objects[at - 1].usable <= start);
  memmove(&m.objects[at + 1], &m.objects[at],
          (m.count - at) * sizeof m.objects[0]);
  m.objects[at] = (struct object){start, size, usable, m.next_tag++};
  m.count++;
  m.bytes += usable;
  stamp_write(p, size, m.objects[at].tag);
}

static struct object forget(size_t at) {
  struct object o = m.objects[at];
  m.count--;
  m.bytes -= o.usable;
  memmove(&m.objects[at], &m.objects[at + 1],
          (m.count - at) * sizeof m.objects[0]);
  return o;
}

static size_t random_size(struct rng *r) {
  switch (rng_below(r, 8)) {
  case 0:
    return rng_below(r, 64);
  case 1: /* around a class's border */
    return sizeclasses[1 + rng_below(r, SIZECLASS_COUNT - 1)].object_bytes +
           rng_below(r, 3) - 1;
  case 2: /* around large objects' page borders */
    return SMALL_BYTES_MAX + PAGE_BYTES * rng_below(r, 40) + rng_below(r, 3) -
           1;
  case 3:
    return rng_size(r, 3 << 20);
  default:
    return rng_size(r, 4096);
  }
}

static bool is_zero(const unsigned char *p, size_t size) {
  return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

static void op_malloc(struct rng *r) {
  size_t size = random_size(r);
  void *p = alm_malloc(size);
  REQUIRE(p != NULL && (uintptr_t)p % (size <= 8 ? 8 : 16) == 0);
  add(p, size);
}

static void op_calloc(struct rng *r) {
  size_t size = random_size(r), count = 1 + rng_below(r, 3);
  unsigned char *p = alm_calloc(count, size / count);
  size = size / count * count;
  REQUIRE(p != NULL && is_zero(p, size));
  add(p, size);
}

static void op_aligned(struct rng *r) {
  size_t align = (size_t)1 << rng_below(r, 17), size = random_size(r);
  void *p = NULL;
  if (rng_below(r, 2)) {
    p = alm_aligned_alloc(align, size);
  } else {
    align = align < sizeof(void *) ? sizeof(void *) : align;
    REQUIRE(alm_posix_memalign(&p, align, size) == 0);
  }
  REQUIRE(p != NULL && (uintptr_t)p % align == 0);
  add(p, size);
}

static void op_realloc(struct rng *r) {
  if (m.count == 0) {
    return;
  }
  struct object o = forget(rng_below(r, m.count));
  size_t size = random_size(r);
  switch (rng_below(r, 4)) {
  case 0:
    size = o.size + rng_below(r, o.size / 4 + 64);
    break;
  case 1:
    size = o.size - rng_below(r, o.size / 2 + 1);
    break;
  }
  size = size > 0 ? size : 1;
  REQUIRE(stamp_holds((void *)o.start, o.size, o.size, o.tag));
  char *p = alm_realloc((void *)o.start, size);
  REQUIRE(p != NULL);
  REQUIRE(stamp_holds(p, o.size, min_size(o.size, size), o.tag));
  add(p, size);
}

static void op_free(struct rng *r) {
  if (m.count == 0) {
    return;
  }
  struct object o = forget(rng_below(r, m.count));
  REQUIRE(stamp_holds((void *)o.start, o.size, o.size, o.tag));
  REQUIRE(alm_malloc_usable_size((void *)o.start) == o.usable);
  if (o.tag % 3 == 0) {
    alm_free_sized((void *)o.start, o.size);
  } else {
    alm_free((void *)o.start);
  }
}

static void op_seldom(struct rng *r) {
  switch (rng_below(r, 3)) {
  case 0:
    alm_thread_flush();
    break;
  case 1:
    (void)alm_release_memory(rng_below(r, 4) * MIB);
    break;
  default:
    REQUIRE(alm_check());
    break;
  }
}

/* `grow` in 16: how many of the calls allocate. */
static void one_step(struct rng *r, size_t grow) {
  bool full = m.count == OBJECTS_MAX || m.bytes > HANDLED_BYTES_MAX;
  size_t what = rng_below(r, 16);
  if (rng_below(r, 1000) == 0) {
    op_seldom(r);
  } else if (what < grow && !full) {
    switch (rng_below(r, 8)) {
    case 0:
      op_calloc(r);
      break;
    case 1:
      op_aligned(r);
      break;
    default:
      op_malloc(r);
      break;
    }
  } else if (what == 15) {
    op_realloc(r);
  } else {
    op_free(r);
  }
}

static uint64_t live_by_statistics(void) {
  struct alm_stats s;
  uint64_t live = 0;
  alm_stats_read(&s);
  for (unsigned i = 0; i < ALM_CLASS_COUNT; i++) {
    live += s.classes[i].alloc_bytes - s.classes[i].free_bytes;
  }
  return live;
}

static void free_everything(void) {
  while (m.count > 0) {
    struct object o = forget(m.count - 1);
    REQUIRE(stamp_holds((void *)o.start, o.size, o.size, o.tag));
    alm_free((void *)o.start);
  }
  REQUIRE(live_by_statistics() == 0);
  (void)alm_release_memory(0);
  struct alm_stats s;
  alm_stats_read(&s);
  REQUIRE(s.heap_inuse == 0 && s.heap_free == 0);
  REQUIRE(alm_check());
}

static void run_model(void *arg) {
  struct rng r = {*(uint64_t *)arg};
  size_t steps = rounds(ALM_TORTURE ? 60000 : 400000);
  size_t check_every = ALM_TORTURE ? 1 : 500;
  for (size_t i = 0; i < steps; i++) {
    static const size_t grow[] = {10, 6, 9, 4};
    one_step(&r, grow[i / 2500 % 4]);
    if (i % check_every == 0) {
      REQUIRE(alm_check());
      REQUIRE(i % 500 != 0 || live_by_statistics() == m.bytes);
    }
    if (i % 60000 == 59999) {
      free_everything();
    }
  }
  free_everything();
}

static void random_calls_agree_with_a_table_of_objects(void **state) {
  (void)state;
  uint64_t seed = seed_take();
  for (uint64_t i = 0; i < 3; i++) {
    uint64_t one = seed + i;
    child_must_pass(run_model, &one, i == 1 ? "background=0" : NULL);
  }
}

/* With address space for 16 MiB only, running out is part of the walk. */
static void run_out(void *arg) {
  struct rng r = {*(uint64_t *)arg};
  size_t refused = 0, steps = rounds(40000);
  for (size_t i = 0; i < steps; i++) {
    if (rng_below(&r, 16) < 9 && m.count < OBJECTS_MAX) {
      size_t size = random_size(&r);
      errno = 0;
      void *p = alm_malloc(size);
      refused += p == NULL;
      REQUIRE((errno == ENOMEM) == (p == NULL));
      if (p != NULL) {
        add(p, size);
      }
    } else {
      op_free(&r);
    }
    if (i % (ALM_TORTURE ? 10 : 500) == 0) {
      REQUIRE(alm_check());
    }
  }
  REQUIRE(refused > 0);
  free_everything();
}

static void running_out_of_address_space_loses_nothing(void **state) {
  (void)state;
  uint64_t seed = seed_take();
  child_must_pass(run_out, &seed, "reserve=16M");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_calls_agree_with_a_table_of_objects),
      cmocka_unit_test(running_out_of_address_space_loses_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
