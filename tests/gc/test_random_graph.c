/* Collected heaps against a model: random operations on graphs of objects.
 *
 * WHAT    Each thread (a player) owns a graph and a model of it in plain
 *         memory, with addresses inverted, so that the collector cannot see
 *         them. Objects of all kinds and sizes, edges to first bytes and into
 *         objects, five kinds of roots, weak references, cleanups, finalizers,
 *         ephemerons, explicit frees.
 * HOW     Operations reach objects by walking from a root, in the heap and in
 *         the model at once. After a collection the model is searched for what
 *         is reachable: that must be whole, the rest gone.
 *         Exact: what must be there is there; nothing is finalized or cleaned
 *         up that could still be used; no function is called twice.
 *         Statistical, since stacks are scanned conservatively: what must be
 *         gone is gone, but for a few.
 */
#include "support.h"

#include "almacen_inline.h"
#include "frames.h"

#include <pthread.h>

enum {
  NODES = 3000,   /* of a player, at most                                  */
  CROWDED = 2000, /* from here on roots are dropped                        */
  EDGES = 6,      /* of an object that the model knows                     */
  HANDLES = 24,   /* roots of a player: first so many handles,             */
  RANGE = 24,     /* then words of a registered range,                     */
  CALLED = 12,    /* then what a callback reports,                         */
  LOCALS = 4,     /* then words of its stack                               */
  ROOTS = HANDLES + RANGE + CALLED + LOCALS,
  RECORDS = 4000, /* weak references and so on, each kind                  */
  TYPES = 24,     /* of a heap, the last of them traced                    */
  TRACED_FROM = 18,
  MASK_WORDS = 8,
  SHARED = 300, /* objects that all players may refer to                 */
  SHARED_BASE = 1 << 20,
  PLAYERS_MAX = 8,
  DISPLACED = 40, /* multiples of it are registered displacements          */
};
static const uint32_t NONE = UINT32_MAX;

enum { KIND_NOSCAN, KIND_CONSERVATIVE, KIND_OBJECT, KIND_ARRAY };

struct edge {
  uintptr_t hidden; /* inverted value of the word; 0: none                   */
  uint32_t word;
  uint32_t target; /* NONE: does not keep what it points to                 */
};

struct node {
  uint64_t id;
  uintptr_t hidden; /* inverted address; 0: no object                        */
  size_t bytes;     /* as requested                                          */
  uint64_t lost;    /* when it was last found unreachable; 0: never          */
  uintptr_t decoy;  /* inverted address in a word that is no pointer         */
  uint32_t decoy_word;
  uint32_t in;        /* roots, edges and ephemerons that lead here          */
  uint32_t specials;  /* records below                                       */
  uint32_t finalizer; /* index, or NONE                                      */
  uint32_t seen;      /* stamp of a search                                   */
  uint8_t kind;
  uint8_t type;
  struct edge edges[EDGES];
};

struct player;

/* A weak reference, cleanup, finalizer or ephemeron. */
struct record {
  struct player *player;
  void *what;     /* struct alm_weak, alm_ephemeron                         */
  uint64_t since; /* when it was made                                       */
  uint32_t node;  /* NONE: forgotten                                        */
  uint32_t value; /* the ephemeron's                                        */
  bool is_used;
  bool is_long;
  bool is_resurrecting;
  bool is_due; /* a finalizer that must be in the queue */
  unsigned runs;
};

struct records {
  struct record all[RECORDS];
  uint32_t used; /* indices below may be in use */
};

struct kind_of_object {
  const struct alm_type *type;
  size_t bytes;
  size_t words; /* that the mask describes */
  uint64_t mask[MASK_WORDS];
};

/* What another player's finalizer call left for this one. */
struct letter {
  struct letter *next;
  struct record *record;
  struct alm_handle *object; /* NULL: a cleanup */
};

struct game {
  struct alm_heap *heap;
  struct alm_mutator *main;
  struct alm_heap_options options;
  struct kind_of_object types[TYPES];
  void *shared[SHARED]; /* a registered root */
  unsigned nplayers;
  size_t operations; /* of each player */
  uint64_t seed;
};

struct player {
  struct game *game;
  struct alm_mutator *m;
  struct rng r;
  uint64_t next_id;
  uint64_t now; /* counts events that lose or find objects */
  uint32_t stamp;
  uint32_t nnodes;
  uint32_t free_hint;
  struct alm_handle *handles[HANDLES];
  void **range; /* RANGE words                                              */
  bool is_range_added;
  uintptr_t called[CALLED]; /* inverted */
  void *volatile *locals;
  uint32_t roots[ROOTS]; /* node, SHARED_BASE + n, or NONE */
  struct records weak, cleanups, finalizers, ephemerons;
  pthread_mutex_t mail_lock;
  struct letter *mail;
  /* What should have gone at checks, and what did not. */
  uint64_t gone_expected, gone_missed;
  uint64_t nfinalized, ncleaned, ndeleted, nrevived, nchecks;
  uint64_t live_expected, live_found;
  uint32_t work[NODES];
  bool is_reachable[NODES]; /* at the last check */
  struct node nodes[NODES];
};

static __thread struct player *me;

/* ---- the stack --------------------------------------------------------------- */

__attribute__((noinline)) static void deep_with(void (*f)(void *p, size_t n),
                                                void *p, size_t n) {
  DEEP(f(p, n));
}

/* ---- what objects look like ---------------------------------------------------- */

/* No address has the top bit set. */
static uint64_t pattern(uint64_t id, size_t word) {
  return stamp_word(id, word) | (uint64_t)1 << 63;
}

static void *address(const struct node *n) {
  return (void *)~n->hidden;
}

static bool is_slot(const struct game *g, const struct node *n, size_t word) {
  const struct kind_of_object *t = &g->types[n->type];
  switch (n->kind) {
  case KIND_NOSCAN:
    return false;
  case KIND_CONSERVATIVE:
    return word % 3 == 1;
  default:
    if (n->type >= TRACED_FROM) {
      return word % 2 == 1;
    }
    word %= (t->bytes + 7) / 8;
    return word < t->words && (t->mask[word / 64] >> (word % 64) & 1);
  }
}

static void trace_odd_words(void *object, size_t bytes, struct alm_visitor *v) {
  for (size_t i = 1; i < bytes / 8; i += 2) {
    alm_visit(v, ((void **)object)[i]);
  }
}

static const struct edge *edge_at(const struct node *n, size_t word) {
  for (size_t i = 0; i < EDGES; i++) {
    if (n->edges[i].hidden != 0 && n->edges[i].word == word) {
      return &n->edges[i];
    }
  }
  return NULL;
}

static uint64_t expected_word(const struct game *g, const struct node *n,
                              size_t word) {
  if (is_slot(g, n, word)) {
    const struct edge *e = edge_at(n, word);
    return e != NULL ? ~e->hidden : 0;
  }
  return word == n->decoy_word ? ~n->decoy : pattern(n->id, word);
}

/* The words of an object that are written and looked at. */
static size_t next_word(size_t word, size_t words) {
  word++;
  if (word < 32 || word + 8 >= words) {
    return word;
  }
  size_t next = (word + 511) / 512 * 512;
  return next + 8 < words ? next : words - 8;
}

__attribute__((noinline)) static void verify(const struct player *p,
                                             const struct node *n) {
  const uint64_t *words = address(n);
  for (size_t i = 0; i < n->bytes / 8; i = next_word(i, n->bytes / 8)) {
    REQUIRE(words[i] == expected_word(p->game, n, i));
  }
  for (size_t i = 0; i < EDGES; i++) {
    REQUIRE(n->edges[i].hidden == 0 ||
            words[n->edges[i].word] == ~n->edges[i].hidden);
  }
}

static void require_zero(const char *bytes, size_t n) {
  size_t step = n < 4096 ? 1 : n < 65536 ? 16 : 509;
  for (size_t i = 0; i < n; i += step) {
    REQUIRE(bytes[i] == 0);
  }
  REQUIRE(n == 0 || bytes[n - 1] == 0);
}

/* ---- the model ----------------------------------------------------------------- */

static struct node *node_of(struct player *p, uint32_t i) {
  REQUIRE(i < NODES && p->nodes[i].hidden != 0);
  return &p->nodes[i];
}

static void *target_address(struct player *p, uint32_t i) {
  return i >= SHARED_BASE ? p->game->shared[i - SHARED_BASE]
                          : address(node_of(p, i));
}

/* Does it share a block with others? */
static bool is_packed(const struct game *g, const struct node *n) {
  return n->kind == KIND_NOSCAN && n->bytes < 16 &&
         !g->options.base_pointers_only;
}

/* Nothing can be attached to a packed object, and it cannot be freed. */
static void require_packed(struct player *p, void *object) {
  REQUIRE(alm_object_bytes(p->game->heap, object) == 0);
  REQUIRE(alm_weak_create(p->m, object, false) == NULL);
  REQUIRE(alm_finalizer_set(p->m, object, NULL, NULL) == ALM_EPACKED);
  REQUIRE(alm_delete(p->m, object) == ALM_EPACKED);
}

static void count_in(struct player *p, uint32_t i, int by) {
  if (i < SHARED_BASE) {
    struct node *n = node_of(p, i);
    REQUIRE(by > 0 || n->in > 0);
    n->in += (uint32_t)by;
  }
}

static uint32_t take_node(struct player *p) {
  for (uint32_t i = 0; i < NODES; i++) {
    uint32_t at = (p->free_hint + i) % NODES;
    if (p->nodes[at].hidden == 0) {
      p->free_hint = at + 1;
      p->nnodes++;
      memset(&p->nodes[at], 0, sizeof p->nodes[at]);
      p->nodes[at].finalizer = NONE;
      p->nodes[at].decoy_word = NONE;
      p->nodes[at].id = p->next_id++;
      return at;
    }
  }
  return NONE;
}

static struct record *take_record(struct player *p, struct records *in,
                                  uint32_t node) {
  if (is_packed(p->game, node_of(p, node))) {
    require_packed(p, address(node_of(p, node)));
    return NULL;
  }
  for (uint32_t i = 0; i < 8; i++) {
    uint32_t at = (uint32_t)rng_below(&p->r, RECORDS);
    struct record *x = &in->all[at];
    if (!x->is_used) {
      *x = (struct record){.player = p,
                           .node = node,
                           .value = NONE,
                           .since = ++p->now,
                           .is_used = true};
      in->used = at >= in->used ? at + 1 : in->used;
      node_of(p, node)->specials++;
      return x;
    }
  }
  return NULL; /* crowded */
}

static void drop_record(struct player *p, struct record *x) {
  if (x->node != NONE) {
    node_of(p, x->node)->specials--;
  }
  if (x->value != NONE) {
    count_in(p, x->value, -1);
  }
  x->is_used = false;
}

static void cut_edge(struct player *p, struct edge *e) {
  if (e->hidden != 0 && e->target != NONE) {
    count_in(p, e->target, -1);
  }
  *e = (struct edge){0, 0, NONE};
}

#define FOR_EACH_RECORD(x, in)                                                 \
  for (struct record *x = (in).all; x < (in).all + (in).used; x++)             \
    if (x->is_used)

/* ---- searching the model -------------------------------------------------------- */

static void see(struct player *p, uint32_t i, uint32_t *n) {
  if (i < SHARED_BASE && node_of(p, i)->seen != p->stamp) {
    p->nodes[i].seen = p->stamp;
    p->work[(*n)++] = i;
  }
}

static void see_contents(struct player *p, uint32_t i, uint32_t *n) {
  struct node *x = node_of(p, i);
  for (size_t k = 0; k < EDGES; k++) {
    if (x->edges[k].hidden != 0 && x->edges[k].target != NONE) {
      see(p, x->edges[k].target, n);
    }
  }
}

static void search(struct player *p, uint32_t n) {
  while (n > 0) {
    uint32_t i = p->work[--n];
    see_contents(p, i, &n);
  }
}

static bool is_seen(struct player *p, uint32_t i) {
  return p->nodes[i].seen == p->stamp;
}

/* Values of ephemerons whose keys are seen. */
static void search_ephemerons(struct player *p) {
  bool any = true;
  while (any) {
    any = false;
    FOR_EACH_RECORD(e, p->ephemerons) {
      uint32_t n = 0;
      if (e->node != NONE && e->value < SHARED_BASE && is_seen(p, e->node) &&
          !is_seen(p, e->value)) {
        see(p, e->value, &n);
        search(p, n);
        any = true;
      }
    }
  }
}

/* Ephemerons whose key was lost since they were made may have been cleared. */
static void refresh_ephemerons(struct player *p) {
  FOR_EACH_RECORD(e, p->ephemerons) {
    if ((e->node == NONE || p->nodes[e->node].lost >= e->since) &&
        alm_ephemeron_get(p->m, e->what) == NULL) {
      alm_ephemeron_release(p->m, e->what);
      drop_record(p, e);
    }
  }
}

/* Mark what is reachable from roots with a new stamp. */
static void search_roots(struct player *p) {
  refresh_ephemerons(p);
  p->stamp++;
  uint32_t n = 0;
  for (size_t i = 0; i < ROOTS; i++) {
    if (p->roots[i] != NONE) {
      see(p, p->roots[i], &n);
    }
  }
  search(p, n);
  search_ephemerons(p);
}

/* Add what objects refer to whose finalizer has not run. */
static void search_contents_of_finalizable(struct player *p) {
  FOR_EACH_RECORD(f, p->finalizers) {
    uint32_t n = 0;
    see_contents(p, f->node, &n);
    search(p, n);
  }
}

static void search_finalizable(struct player *p) {
  FOR_EACH_RECORD(f, p->finalizers) {
    uint32_t n = 0;
    see(p, f->node, &n);
    search(p, n);
  }
}

/* ---- roots ----------------------------------------------------------------------- */

static void write_root(struct player *p, uint32_t root, void *value) {
  if (root < HANDLES) {
    alm_handle_set(p->handles[root], value);
  } else if (root < HANDLES + RANGE) {
    p->range[root - HANDLES] = value;
  } else if (root < HANDLES + RANGE + CALLED) {
    p->called[root - HANDLES - RANGE] = ~(uintptr_t)value;
  } else {
    p->locals[root - HANDLES - RANGE - CALLED] = value;
  }
}

static char *read_root(struct player *p, uint32_t root) {
  if (root < HANDLES) {
    return alm_handle_get(p->handles[root]);
  }
  if (root < HANDLES + RANGE) {
    return p->range[root - HANDLES];
  }
  if (root < HANDLES + RANGE + CALLED) {
    return (char *)~p->called[root - HANDLES - RANGE];
  }
  return p->locals[root - HANDLES - RANGE - CALLED];
}

static bool is_usable_root(const struct player *p, uint32_t root) {
  return root < HANDLES || root >= HANDLES + RANGE || p->is_range_added;
}

__attribute__((noinline)) static void set_root(struct player *p, uint32_t root,
                                               uint32_t target) {
  char *value = NULL;
  if (!is_usable_root(p, root)) {
    return;
  }
  if (target != NONE) {
    count_in(p, target, 1);
    value = target_address(p, target);
    size_t bytes = target < SHARED_BASE ? p->nodes[target].bytes : 1;
    if (bytes > 0 && rng_below(&p->r, 4) == 0) {
      value += rng_below(&p->r, bytes); /* roots may point anywhere into it */
    }
  }
  if (p->roots[root] != NONE) {
    count_in(p, p->roots[root], -1);
  }
  p->roots[root] = target;
  write_root(p, root, value);
}

static uint32_t any_root(struct player *p) {
  return (uint32_t)rng_below(&p->r, ROOTS);
}

static void trace_called(void *arg, struct alm_visitor *v) {
  struct player *p = arg;
  for (size_t i = 0; i < CALLED; i++) {
    alm_visit(v, (void *)~p->called[i]);
  }
}

/* From a root along random edges; a node of this player, or NONE. Looks at
 * every object on the way. */
__attribute__((noinline)) static uint32_t walk(struct player *p) {
  uint32_t at = NONE;
  for (int i = 0; i < 8 && (at == NONE || at >= SHARED_BASE); i++) {
    uint32_t root = any_root(p);
    at = p->roots[root];
    if (at != NONE && at < SHARED_BASE) {
      char *base = address(node_of(p, at)), *value = read_root(p, root);
      REQUIRE(value >= base &&
              (value == base || value < base + p->nodes[at].bytes));
    }
  }
  if (at == NONE || at >= SHARED_BASE) {
    return NONE;
  }
  for (size_t left = rng_below(&p->r, 12); left > 0; left--) {
    struct node *n = node_of(p, at);
    const struct edge *e = &n->edges[rng_below(&p->r, EDGES)];
    if (e->hidden == 0 || e->target == NONE || e->target >= SHARED_BASE) {
      continue;
    }
    const uint64_t *words = address(n);
    REQUIRE(words[e->word] == ~e->hidden);
    at = e->target;
  }
  verify(p, node_of(p, at));
  return at;
}

/* ---- objects come and go ----------------------------------------------------------- */

static size_t any_size(struct player *p) {
  switch (rng_below(&p->r, 4000)) {
  case 0:
    return ((size_t)1 << 20) + rng_below(&p->r, (size_t)2 << 20);
  case 1:
  case 2:
  case 3:
  case 4:
  case 5:
  case 6:
    return 30000 + rng_below(&p->r, 300000);
  default:
    return rng_size(&p->r, 2048);
  }
}

static void *allocate(struct player *p, struct node *n) {
  const struct kind_of_object *t = &p->game->types[n->type];
  size_t bytes = any_size(p), count = bytes / ((t->bytes + 7) / 8 * 8);
  switch (n->kind) {
  case KIND_NOSCAN:
  case KIND_CONSERVATIVE:
    n->bytes = bytes;
    return alm_new_bytes(
        p->m, n->kind == KIND_NOSCAN ? ALM_NOSCAN : ALM_CONSERVATIVE, bytes);
  case KIND_OBJECT:
    n->bytes = t->bytes;
    return rng_below(&p->r, 2) ? alm_new(p->m, t->type)
                               : alm_new_inline(p->m, t->type);
  default:
    n->bytes = count * ((t->bytes + 7) / 8 * 8);
    return alm_new_array(p->m, t->type, count);
  }
}

static size_t alignment(const struct game *g, const struct node *n) {
  if (is_packed(g, n)) {
    return n->bytes >= 8 ? 8 : n->bytes >= 4 ? 4 : n->bytes >= 2 ? 2 : 1;
  }
  return n->kind == KIND_ARRAY ? 8 : 16;
}

/* A new object, not linked to anything; its address is in *out alone. */
__attribute__((noinline)) static uint32_t make(struct player *p, void **out) {
  uint32_t i = take_node(p);
  if (i == NONE) {
    return NONE;
  }
  struct node *n = &p->nodes[i];
  n->kind = (uint8_t)rng_below(&p->r, 4);
  size_t nlikely = rng_below(&p->r, 2) ? TYPES : 3;
  n->type =
      (uint8_t)(rng_below(&p->r, 3) ? rng_below(&p->r, nlikely) : TYPES - 1);
  uint64_t *words = allocate(p, n);
  REQUIRE(words != NULL);
  REQUIRE((uintptr_t)words % alignment(p->game, n) == 0);
  require_zero((char *)words, n->bytes);
  if (!is_packed(p->game, n)) {
    REQUIRE(alm_object_bytes(p->game->heap, words) >= n->bytes);
  }
  n->hidden = ~(uintptr_t)words;
  size_t nwords = n->bytes / 8;
  uint32_t decoy = (uint32_t)rng_below(&p->r, 8);
  uint32_t at = p->roots[any_root(p)];
  if (decoy < nwords && n->kind != KIND_CONSERVATIVE &&
      !is_slot(p->game, n, decoy) && at != NONE && at < SHARED_BASE) {
    n->decoy_word = decoy; /* the address of an object where none counts */
    n->decoy = ~(uintptr_t)address(node_of(p, at));
  }
  for (size_t w = 0; w < nwords; w = next_word(w, nwords)) {
    if (!is_slot(p->game, n, w)) {
      words[w] = expected_word(p->game, n, w);
    }
  }
  *out = words;
  return i;
}

static void forget(struct player *p, uint32_t i) {
  struct node *n = node_of(p, i);
  for (size_t k = 0; k < EDGES; k++) {
    cut_edge(p, &n->edges[k]);
  }
  REQUIRE(n->in == 0 && n->specials == 0);
  n->hidden = 0;
  p->nnodes--;
}

/* A word of the object that may hold a pointer, or SIZE_MAX. */
static size_t any_slot(struct player *p, const struct node *n) {
  size_t words = n->bytes / 8;
  for (int i = 0; words > 0 && i < 10; i++) {
    size_t word =
        i < 5 && words > 64 ? rng_below(&p->r, 64) : rng_below(&p->r, words);
    if (is_slot(p->game, n, word)) {
      return word;
    }
  }
  return SIZE_MAX;
}

/* The edge for the word: the one that is there, or a free or random one, cut
 * in model and heap. */
static struct edge *ready_edge(struct player *p, struct node *n, size_t word) {
  struct edge *e = &n->edges[rng_below(&p->r, EDGES)];
  for (size_t k = 0; k < EDGES; k++) {
    e = n->edges[k].hidden == 0 ? &n->edges[k] : e;
  }
  for (size_t k = 0; k < EDGES; k++) {
    if (n->edges[k].hidden != 0 && n->edges[k].word == word) {
      e = &n->edges[k];
    }
  }
  if (e->hidden != 0) {
    uint64_t *words = address(n);
    alm_store(p->m, words, &words[e->word], NULL);
    cut_edge(p, e);
  }
  return e;
}

/* Let `from` refer to `to`. False: it has no room for pointers. */
__attribute__((noinline)) static bool connect(struct player *p, uint32_t from,
                                              uint32_t to) {
  struct node *n = node_of(p, from);
  size_t word = any_slot(p, n);
  if (word == SIZE_MAX) {
    return false;
  }
  char *value = target_address(p, to);
  size_t bytes = to < SHARED_BASE ? p->nodes[to].bytes : 8, offset = 0;
  if (bytes > 0 && rng_below(&p->r, 4) == 0) {
    offset = rng_below(&p->r, bytes);
    offset -= rng_below(&p->r, 2) ? offset % DISPLACED : 0;
  }
  bool is_registered = offset < 4096 && offset % DISPLACED == 0;
  bool is_strong = is_registered || n->kind == KIND_CONSERVATIVE ||
                   !p->game->options.base_pointers_only;
  if (is_strong) {
    count_in(p, to, 1); /* first: the old edge may lead there too */
  }
  struct edge *e = ready_edge(p, n, word);
  *e = (struct edge){~(uintptr_t)(value + offset), (uint32_t)word,
                     is_strong ? to : NONE};
  uint64_t *words = address(n);
  void *stored = value + offset;
  if (rng_below(&p->r, 3) == 0) {
    alm_copy(p->m, words, &words[word], &stored, sizeof stored);
  } else if (rng_below(&p->r, 2)) {
    alm_store(p->m, words, &words[word], stored);
  } else {
    alm_store_inline(p->m, words, &words[word], stored);
  }
  return true;
}

/* ---- specials ------------------------------------------------------------------------ */

/* What is seen now but was not reachable gets a new `lost`. */
static void lose(struct player *p, uint32_t i) {
  uint32_t n = 0;
  p->now++;
  see(p, i, &n);
  while (n > 0) {
    uint32_t at = p->work[--n];
    p->nodes[at].lost = p->now;
    see_contents(p, at, &n);
  }
}

/* Everything that `i` reaches must be whole: looked at for so many steps. */
static void verify_from(struct player *p, uint32_t i, unsigned steps) {
  verify(p, node_of(p, i));
  while (steps-- > 0) {
    const struct edge *e = &node_of(p, i)->edges[rng_below(&p->r, EDGES)];
    if (e->hidden != 0 && e->target != NONE && e->target < SHARED_BASE) {
      i = e->target;
      verify(p, node_of(p, i));
    }
  }
}

__attribute__((noinline)) static void finalized(struct record *f,
                                                void *object) {
  struct player *p = f->player;
  REQUIRE(f->is_used && f->runs++ == 0);
  uint32_t i = f->node;
  struct node *n = node_of(p, i);
  REQUIRE(object == address(n));
  verify_from(p, i, 20);
  search_roots(p);
  search_contents_of_finalizable(p); /* its own too: a cycle never is */
  REQUIRE(!is_seen(p, i));
  search_roots(p);
  lose(p, i);
  refresh_ephemerons(p);
  n->finalizer = NONE;
  drop_record(p, f);
  p->nfinalized++;
  if (f->is_resurrecting) {
    p->nrevived++;
    set_root(p, any_root(p), i);
  }
}

__attribute__((noinline)) static void cleaned(struct record *c) {
  struct player *p = c->player;
  REQUIRE(c->is_used && c->runs++ == 0);
  if (c->node != NONE) {
    search_roots(p);
    search_finalizable(p);
    REQUIRE(!is_seen(p, c->node));
  }
  drop_record(p, c);
  p->ncleaned++;
}

/* Of other players' objects the player is told. */
static bool mail(struct record *x, void *object) {
  struct player *p = x->player;
  if (p == me) {
    return false;
  }
  struct letter *l = malloc(sizeof *l);
  REQUIRE(l != NULL);
  l->record = x;
  l->object = object ? alm_handle_create(me->m, object) : NULL;
  REQUIRE(object == NULL || l->object != NULL);
  pthread_mutex_lock(&p->mail_lock);
  l->next = p->mail;
  p->mail = l;
  pthread_mutex_unlock(&p->mail_lock);
  return true;
}

static void on_finalizer(void *object, void *arg) {
  REQUIRE(object != NULL);
  if (!mail(arg, object)) {
    finalized(arg, object);
  }
}

static void on_cleanup(void *object, void *arg) {
  REQUIRE(object == NULL);
  if (!mail(arg, NULL)) {
    cleaned(arg);
  }
}

__attribute__((noinline)) static void read_mail(void *player, size_t unused) {
  struct player *p = player;
  (void)unused;
  pthread_mutex_lock(&p->mail_lock);
  struct letter *l = p->mail;
  p->mail = NULL;
  pthread_mutex_unlock(&p->mail_lock);
  while (l != NULL) {
    struct letter *next = l->next;
    if (l->object != NULL) {
      finalized(l->record, alm_handle_get(l->object));
      alm_handle_release(p->game->heap, l->object);
    } else {
      cleaned(l->record);
    }
    free(l);
    l = next;
  }
}

__attribute__((noinline)) static void run_queue(void *player, size_t most) {
  struct player *p = player;
  size_t n = alm_finalizers_run(p->m, most);
  REQUIRE(most == 0 || n <= most);
  scrub(); /* of others' objects nothing stays on this stack */
  read_mail(p, 0);
}

static void add_weak(struct player *p, uint32_t i) {
  struct record *w = take_record(p, &p->weak, i);
  if (w != NULL) {
    w->is_long = rng_below(&p->r, 2);
    w->what = alm_weak_create(p->m, address(node_of(p, i)), w->is_long);
    REQUIRE(w->what != NULL);
  }
}

static void add_cleanup(struct player *p, uint32_t i) {
  struct record *c = take_record(p, &p->cleanups, i);
  if (c != NULL) {
    REQUIRE(alm_cleanup_add(p->m, address(node_of(p, i)), on_cleanup, c) ==
            ALM_OK);
  }
}

static void change_finalizer(struct player *p, uint32_t i) {
  struct node *n = node_of(p, i);
  struct record *old =
      n->finalizer != NONE ? &p->finalizers.all[n->finalizer] : NULL;
  if (old != NULL && rng_below(&p->r, 2)) {
    REQUIRE(alm_finalizer_set(p->m, address(n), NULL, NULL) == ALM_OK);
    drop_record(p, old);
    n->finalizer = NONE;
    return;
  }
  struct record *f = take_record(p, &p->finalizers, i);
  if (f == NULL) {
    return;
  }
  f->is_resurrecting = rng_below(&p->r, 2);
  REQUIRE(alm_finalizer_set(p->m, address(n), on_finalizer, f) == ALM_OK);
  if (old != NULL) { /* replaced */
    drop_record(p, old);
  }
  n->finalizer = (uint32_t)(f - p->finalizers.all);
}

static void add_ephemeron(struct player *p, uint32_t key, uint32_t value) {
  struct record *e = take_record(p, &p->ephemerons, key);
  if (e != NULL) {
    e->what = alm_ephemeron_create(p->m, address(node_of(p, key)),
                                   target_address(p, value));
    REQUIRE(e->what != NULL);
    count_in(p, value, 1);
    e->value = value;
  }
}

/* ---- operations ------------------------------------------------------------------------ */

__attribute__((noinline)) static void op_make(struct player *p) {
  void *address_only = NULL;
  uint32_t from = walk(p), i = make(p, &address_only);
  if (i == NONE) {
    return;
  }
  for (size_t k = rng_below(&p->r, 3); k > 0; k--) {
    uint32_t to = rng_below(&p->r, 8)
                      ? walk(p)
                      : SHARED_BASE + (uint32_t)rng_below(&p->r, SHARED);
    if (to != NONE) {
      (void)connect(p, i, to);
    }
  }
  if (from == NONE || rng_below(&p->r, 4) == 0) {
    set_root(p, any_root(p), i);
  } else {
    (void)connect(p, from, i);
  }
  if (p->nodes[i].in == 0 && !is_packed(p->game, &p->nodes[i]) &&
      rng_below(&p->r, 2)) {
    REQUIRE(alm_delete(p->m, address_only) == ALM_OK);
    forget(p, i);
    p->ndeleted++;
  }
  __asm__ volatile("" ::"r"(address_only) : "memory"); /* keeps it till here */
}

__attribute__((noinline)) static void op_connect(struct player *p) {
  uint32_t from = walk(p);
  uint32_t to = rng_below(&p->r, 16)
                    ? walk(p)
                    : SHARED_BASE + (uint32_t)rng_below(&p->r, SHARED);
  if (from != NONE && to != NONE) {
    (void)connect(p, from, to);
  }
}

__attribute__((noinline)) static void op_cut(struct player *p) {
  uint32_t from = walk(p);
  if (from == NONE) {
    return;
  }
  struct edge *e = &p->nodes[from].edges[rng_below(&p->r, EDGES)];
  if (e->hidden != 0) {
    uint64_t *words = address(&p->nodes[from]);
    alm_store(p->m, words, &words[e->word], NULL);
    cut_edge(p, e);
  }
}

__attribute__((noinline)) static void op_root(struct player *p) {
  uint32_t to = rng_below(&p->r, 8) ? walk(p) : NONE;
  set_root(p, any_root(p), to);
}

/* An object to which one edge leads: cut it, and free the object. */
__attribute__((noinline)) static void op_delete(struct player *p) {
  uint32_t from = walk(p);
  if (from == NONE) {
    return;
  }
  struct edge *e = &p->nodes[from].edges[rng_below(&p->r, EDGES)];
  uint32_t to = e->target;
  if (e->hidden == 0 || to == NONE || to >= SHARED_BASE || to == from ||
      p->nodes[to].in != 1 || p->nodes[to].lost != 0) {
    return;
  }
  uint64_t *words = address(&p->nodes[from]);
  alm_store(p->m, words, &words[e->word], NULL);
  cut_edge(p, e);
  enum alm_err err = alm_delete(p->m, address(node_of(p, to)));
  REQUIRE(err == (is_packed(p->game, node_of(p, to)) ? ALM_EPACKED
                  : p->nodes[to].specials > 0        ? ALM_ESPECIAL
                                                     : ALM_OK));
  if (err == ALM_OK) {
    forget(p, to);
    p->ndeleted++;
  }
}

__attribute__((noinline)) static void op_weak(struct player *p) {
  struct record *w = &p->weak.all[rng_below(&p->r, RECORDS)];
  if (!w->is_used || rng_below(&p->r, 4) == 0) {
    uint32_t i = walk(p);
    if (i != NONE) {
      add_weak(p, i);
    }
    return;
  }
  void *object = alm_weak_get(p->m, w->what);
  REQUIRE(object == NULL ||
          (w->node != NONE && object == address(node_of(p, w->node))));
  if (object == NULL) {
    REQUIRE(w->node == NONE || p->nodes[w->node].lost >= w->since ||
            (search_roots(p), !is_seen(p, w->node)));
  } else {
    verify_from(p, w->node, 5);
  }
  if (object == NULL || rng_below(&p->r, 4) == 0) {
    alm_weak_release(p->m, w->what);
    drop_record(p, w);
  }
}

__attribute__((noinline)) static void op_ephemeron(struct player *p) {
  uint32_t key = walk(p), value = walk(p);
  if (key != NONE && value != NONE) {
    add_ephemeron(p, key, value);
  }
  struct record *e = &p->ephemerons.all[rng_below(&p->r, RECORDS)];
  if (e->is_used && e->node != NONE && rng_below(&p->r, 2)) {
    void *object = alm_ephemeron_get(p->m, e->what);
    REQUIRE(object == NULL || object == target_address(p, e->value));
    alm_ephemeron_release(p->m, e->what);
    drop_record(p, e);
  }
}

/* A range that is removed keeps its words, which keep nothing then. */
__attribute__((noinline)) static void op_range(struct player *p) {
  struct alm_heap *heap = p->game->heap;
  if (p->is_range_added) {
    for (uint32_t i = HANDLES; i < HANDLES + RANGE; i++) {
      if (p->roots[i] != NONE) {
        count_in(p, p->roots[i], -1);
      }
      p->roots[i] = NONE;
    }
    REQUIRE(alm_root_remove(heap, p->range) == ALM_OK);
  } else {
    memset(p->range, 0, RANGE * sizeof(void *));
    REQUIRE(alm_root_add(heap, p->range, RANGE * sizeof(void *)) == ALM_OK);
  }
  p->is_range_added = !p->is_range_added;
}

__attribute__((noinline)) static void op_rare(struct player *p) {
  switch (rng_below(&p->r, 40)) {
  case 0:
  case 1:
    op_range(p);
    break;
  case 2:
    REQUIRE(alm_collect(p->m) == ALM_OK);
    break;
  case 3:
    REQUIRE(alm_sweep(p->m) == ALM_OK);
    break;
  case 4:
    REQUIRE(rng_below(&p->r, 4) || alm_heap_check(p->m));
    break;
  case 5: { /* handles come and go as well */
    uint32_t i = (uint32_t)rng_below(&p->r, HANDLES);
    set_root(p, i, NONE);
    alm_handle_release(p->game->heap, p->handles[i]);
    p->handles[i] = alm_handle_create(p->m, NULL);
    REQUIRE(p->handles[i] != NULL);
    break;
  }
  case 6:
    alm_blocked_begin(p->m);
    alm_blocked_end(p->m);
    break;
  default:
    run_queue(p, rng_below(&p->r, 5));
  }
}

static void op_special(struct player *p) {
  uint32_t i;
  switch (rng_below(&p->r, 8)) {
  case 0:
  case 1:
  case 2:
    op_weak(p);
    break;
  case 3:
    op_ephemeron(p);
    break;
  case 4:
    if ((i = walk(p)) != NONE) {
      add_cleanup(p, i);
    }
    break;
  case 5:
    if ((i = walk(p)) != NONE) {
      change_finalizer(p, i);
    }
    break;
  default:
    op_delete(p);
  }
}

__attribute__((noinline)) static void operate(struct player *p) {
  size_t which = rng_below(&p->r, 1000);
  if (p->nnodes > CROWDED) {
    set_root(p, any_root(p), NONE);
  }
  if (which < 350) {
    op_make(p);
  } else if (which < 550) {
    (void)walk(p);
  } else if (which < 700) {
    op_connect(p);
  } else if (which < 760) {
    op_cut(p);
  } else if (which < 850) {
    op_root(p);
  } else if (which < 980) {
    op_special(p);
  } else if (which < 995) {
    alm_safepoint_inline(p->m);
  } else {
    op_rare(p);
  }
}

__attribute__((noinline)) static void operate_some(void *player, size_t n) {
  struct player *p = player;
  while (n-- > 0 && p->nnodes < NODES) {
    operate(p);
  }
}

/* ---- checks ------------------------------------------------------------------------------ */

#define FOR_EACH_NODE(p, i)                                                    \
  for (uint32_t i = 0; i < NODES; i++)                                         \
    if ((p)->nodes[i].hidden != 0)

/* What is reachable is whole. */
static void inspect_reachable(struct player *p) {
  search_roots(p);
  memset(p->is_reachable, 0, sizeof p->is_reachable);
  FOR_EACH_NODE(p, i) {
    if (is_seen(p, i)) {
      p->is_reachable[i] = true;
      verify(p, &p->nodes[i]);
    }
  }
  FOR_EACH_RECORD(e, p->ephemerons) {
    REQUIRE(!p->is_reachable[e->node] ||
            alm_ephemeron_get(p->m, e->what) == target_address(p, e->value));
  }
}

/* Of an object that is not reachable something was asked: is it gone? */
static void count_gone(struct player *p, const void *left) {
  p->gone_expected++;
  p->gone_missed += left != NULL;
}

static void inspect_weak(struct player *p, uint32_t *n) {
  FOR_EACH_RECORD(w, p->weak) {
    const struct node *x = node_of(p, w->node);
    void *object = alm_weak_get(p->m, w->what);
    REQUIRE(object == NULL || object == address(x));
    if (p->is_reachable[w->node]) {
      bool was_lost = x->lost >= w->since && !w->is_long;
      REQUIRE(object != NULL || was_lost);
    } else if (w->is_long && is_seen(p, w->node)) {
      REQUIRE(object != NULL); /* a finalizer that has not run needs it */
    } else {
      count_gone(p, object);
    }
    if (object == NULL) {
      alm_weak_release(p->m, w->what);
      drop_record(p, w);
    } else if (!p->is_reachable[w->node]) {
      see(p, w->node, n);
    }
  }
}

/* What a stale word on the stack, or a finalizer, keeps stays in the model. */
static void inspect_retained(struct player *p) {
  uint32_t n = 0;
  p->stamp++;
  search_finalizable(p);
  if (p->game->nplayers == 1) {
    struct alm_heap_stats s;
    alm_heap_stats_read(p->game->heap, &s);
    uint64_t expected = SHARED, packed = 0; /* the blocks are not known */
    FOR_EACH_NODE(p, i) {
      bool is_alive = p->is_reachable[i] || is_seen(p, i);
      expected += is_alive;
      packed += is_alive && is_packed(p->game, &p->nodes[i]);
    }
    REQUIRE(s.live_objects >= expected - packed);
    p->live_expected += expected;
    p->live_found += s.live_objects;
  }
  inspect_weak(p, &n);
  FOR_EACH_RECORD(e, p->ephemerons) {
    if (!p->is_reachable[e->node]) {
      void *value = alm_ephemeron_get(p->m, e->what);
      REQUIRE(value == NULL || value == target_address(p, e->value));
      count_gone(p, value);
      if (value == NULL) {
        alm_ephemeron_release(p->m, e->what);
        drop_record(p, e);
      } else {
        see(p, e->node, &n);
      }
    }
  }
  search(p, n);
  search_ephemerons(p);
  p->now++;
  FOR_EACH_NODE(p, i) {
    if (!p->is_reachable[i]) {
      p->nodes[i].lost = p->now;
      if (is_seen(p, i)) {
        verify(p, &p->nodes[i]);
      }
    }
  }
}

static void forget_dead(struct player *p) {
  FOR_EACH_RECORD(c, p->cleanups) {
    if (c->node != NONE && !p->is_reachable[c->node] && !is_seen(p, c->node)) {
      p->nodes[c->node].specials--;
      c->node = NONE; /* to be called */
    }
  }
  for (int cut = 1; cut >= 0; cut--) {
    FOR_EACH_NODE(p, i) {
      if (p->is_reachable[i] || is_seen(p, i)) {
        continue;
      }
      for (size_t k = 0; cut && k < EDGES; k++) {
        cut_edge(p, &p->nodes[i].edges[k]);
      }
      if (!cut) {
        forget(p, i);
      }
    }
  }
}

/* A weak reference that still leads to an object brings it back. */
static void revive_some(struct player *p) {
  FOR_EACH_RECORD(w, p->weak) {
    if (!w->is_long && !p->is_reachable[w->node] && rng_below(&p->r, 4) == 0) {
      REQUIRE(alm_weak_get(p->m, w->what) == address(node_of(p, w->node)));
      set_root(p, any_root(p), w->node);
    }
  }
}

/* Finalizers that nothing hinders are due. Those in a cycle are never. */
static void inspect_finalizers(struct player *p) {
  search_roots(p);
  search_contents_of_finalizable(p);
  FOR_EACH_RECORD(f, p->finalizers) {
    f->is_due = !is_seen(p, f->node);
  }
  FOR_EACH_RECORD(g, p->finalizers) {
    struct node *x = node_of(p, g->node);
    uint32_t n = 0;
    if (!p->is_reachable[g->node] && !g->is_due) {
      p->stamp++;
      see_contents(p, g->node, &n);
      search(p, n);
      if (is_seen(p, g->node)) {
        REQUIRE(alm_finalizer_set(p->m, address(x), NULL, NULL) == ALM_OK);
        x->finalizer = NONE;
        drop_record(p, g);
      }
    }
  }
}

__attribute__((noinline)) static void inspect(void *player, size_t unused) {
  struct player *p = player;
  (void)unused;
  inspect_reachable(p);
  inspect_retained(p);
  forget_dead(p);
  revive_some(p);
  inspect_finalizers(p);
  p->nchecks++;
}

static void check(struct player *p) {
  scrub();
  REQUIRE(alm_collect(p->m) == ALM_OK);
  deep_with(inspect, p, 0);
  scrub();
  deep_with(run_queue, p, 0);
  if (p->game->nplayers == 1) { /* else some are in the mail */
    FOR_EACH_RECORD(f, p->finalizers) {
      p->gone_expected += f->is_due;
      p->gone_missed += f->is_due;
    }
  }
}

/* ---- games --------------------------------------------------------------------------------- */

static pthread_barrier_t barrier;

__attribute__((noinline)) static void meet(struct player *p) {
  alm_blocked_begin(p->m);
  pthread_barrier_wait(&barrier);
  alm_blocked_end(p->m);
}

static void drop_all_roots(void *player, size_t unused) {
  struct player *p = player;
  (void)unused;
  for (uint32_t i = 0; i < ROOTS; i++) {
    set_root(p, i, NONE);
  }
}

/* With no roots left everything must end. */
static void finish(struct player *p) {
  for (int i = 0; i < 16; i++) {
    deep_with(drop_all_roots, p, 0); /* finalizers bring things back */
    check(p);
    meet(p);
    deep_with(read_mail, p, 0);
  }
  meet(p);
  uint64_t waiting = 0;
  FOR_EACH_RECORD(c, p->cleanups) {
    waiting++;
  }
  if (getenv("ALM_TEST_VERBOSE")) {
    fprintf(stderr,
            "checks %zu finalized %zu cleaned %zu deleted %zu revived %zu, of "
            "%zu gone %zu missed, live %zu of %zu, left %u, waiting %zu\n",
            (size_t)p->nchecks, (size_t)p->nfinalized, (size_t)p->ncleaned,
            (size_t)p->ndeleted, (size_t)p->nrevived, (size_t)p->gone_expected,
            (size_t)p->gone_missed, (size_t)p->live_found,
            (size_t)p->live_expected, p->nnodes, (size_t)waiting);
  }
  if (p->game->nplayers == 1) { /* else others' stacks may keep something */
    REQUIRE(p->gone_missed <= p->gone_expected / 10 + 100);
  }
  REQUIRE(p->live_found <=
          p->live_expected + p->live_expected / 50 + 20 * p->nchecks);
  REQUIRE(p->nnodes <= 20);
  REQUIRE(waiting <= 20);
}

static void start(struct player *p) {
  struct game *g = p->game;
  REQUIRE(alm_mutator_attach(g->heap, &p->m) == ALM_OK);
  for (size_t i = 0; i < HANDLES; i++) {
    p->handles[i] = alm_handle_create(p->m, NULL);
    REQUIRE(p->handles[i] != NULL);
  }
  for (size_t i = 0; i < ROOTS; i++) {
    p->roots[i] = NONE;
  }
  for (size_t i = 0; i < CALLED; i++) {
    p->called[i] = ~(uintptr_t)0;
  }
  REQUIRE(alm_root_callback_add(g->heap, trace_called, p) == ALM_OK);
  p->range = malloc(RANGE * sizeof(void *));
  REQUIRE(p->range != NULL);
  op_range(p);
}

static void *play(void *arg) {
  struct player *p = arg;
  void *volatile locals[LOCALS] = {NULL};
  me = p;
  p->locals = locals;
  start(p);
  for (size_t left = p->game->operations; left > 0;) {
    size_t n = 1 + rng_below(&p->r, 4000);
    n = n < left ? n : left;
    deep_with(operate_some, p, n);
    left -= n;
    check(p);
  }
  finish(p);
  if (p->is_range_added) {
    op_range(p);
  }
  alm_mutator_detach(p->m);
  return NULL;
}

static void make_types(struct game *g, struct rng *r) {
  for (size_t i = 0; i < TYPES; i++) {
    struct kind_of_object *t = &g->types[i];
    size_t most = i % 8 == 7 ? 32768 : i % 4 == 3 ? 4096 : 200;
    t->bytes = i == 0 ? 8 : 1 + rng_below(r, most);
    struct alm_type_info info = {"random", t->bytes, NULL, 0, NULL};
    if (i >= TRACED_FROM) {
      info.trace = trace_odd_words;
    } else if (i % 6 != 5) {
      t->words =
          t->bytes / 8 < MASK_WORDS * 64 ? t->bytes / 8 : MASK_WORDS * 64;
      for (size_t k = 0; k < MASK_WORDS; k++) {
        t->mask[k] = i == 0 ? UINT64_MAX : rng_next(r);
        t->mask[k] &= i % 2 ? rng_next(r) : UINT64_MAX;
      }
      info.pointers = t->mask;
      info.words = t->words;
    }
    REQUIRE(alm_type_create(g->heap, &info, &t->type) == ALM_OK);
  }
}

/* Objects that refer to one another, for all players to refer to. */
__attribute__((noinline)) static void make_shared(void *game_arg,
                                                  size_t nshared) {
  struct game *g = game_arg;
  struct alm_mutator *m = g->main;
  for (size_t i = 0; i < nshared; i++) {
    uint64_t *words = alm_new_bytes(m, ALM_CONSERVATIVE, 64);
    REQUIRE(words != NULL);
    words[0] = pattern(i, 0);
    if (i > 0) {
      alm_store(m, words, &words[1], g->shared[i / 2]);
    }
    g->shared[i] = words;
  }
}

__attribute__((noinline)) static void check_shared(void *game_arg,
                                                   size_t nshared) {
  const struct game *g = game_arg;
  for (size_t i = 0; i < nshared; i++) {
    const uint64_t *words = g->shared[i];
    REQUIRE(words[0] == pattern(i, 0));
    REQUIRE(words[1] == (i > 0 ? (uintptr_t)g->shared[i / 2] : 0));
  }
}

/* The main thread waits, attached, in a blocked region. */
static void play_all(struct game *g, struct alm_mutator *m) {
  pthread_t threads[PLAYERS_MAX];
  struct player *players[PLAYERS_MAX];
  REQUIRE(pthread_barrier_init(&barrier, NULL, g->nplayers) == 0);
  alm_blocked_begin(m);
  for (unsigned i = 0; i < g->nplayers; i++) {
    players[i] = calloc(1, sizeof *players[i]);
    REQUIRE(players[i] != NULL);
    players[i]->game = g;
    players[i]->r.state = g->seed * 31 + i;
    REQUIRE(pthread_mutex_init(&players[i]->mail_lock, NULL) == 0);
  }
  for (unsigned i = 0; i < g->nplayers; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, play, players[i]) == 0);
  }
  for (unsigned i = 0; i < g->nplayers; i++) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  }
  alm_blocked_end(m);
  REQUIRE(alm_collect(m) == ALM_OK && alm_heap_check(m));
  deep_with(check_shared, g, SHARED);
  alm_mutator_detach(m);
  REQUIRE(alm_heap_destroy(g->heap) == ALM_OK);
  for (unsigned i = 0; i < g->nplayers; i++) {
    free(players[i]->range);
    free(players[i]);
  }
  pthread_barrier_destroy(&barrier);
}

static void game(unsigned nplayers, size_t operations,
                 struct alm_heap_options options) {
  static uint64_t games;
  static struct game g;
  memset(&g, 0, sizeof g);
  g.nplayers = nplayers;
  g.operations = rounds(operations);
  g.options = options;
  g.seed = seed_take() * 1000003 + games++;
  struct rng r = {g.seed};
  REQUIRE(heap_under_test(&options, &g.heap) == ALM_OK);
  REQUIRE(alm_mutator_attach(g.heap, &g.main) == ALM_OK);
  for (size_t i = 0; i < 4096; i += DISPLACED) {
    REQUIRE(alm_displacement_add(g.heap, i) == ALM_OK);
  }
  make_types(&g, &r);
  REQUIRE(alm_root_add(g.heap, g.shared, sizeof g.shared) == ALM_OK);
  deep_with(make_shared, &g, SHARED);
  scrub();
  play_all(&g, g.main);
  all_memory_is_back();
}

/* ---- tests --------------------------------------------------------------------------------- */

static void one_thread_agrees_with_the_model(void **state) {
  (void)state;
  for (unsigned i = 0; i < 8; i++) {
    static const unsigned percents[] = {0, 10, 50, 400};
    game(1, 80000,
         (struct alm_heap_options){.first_bytes = i % 3 ? 256 * KIB : 0,
                                   .gc_percent = percents[i % 4],
                                   .markers = 1 + i % 4});
  }
}

static void one_thread_with_base_pointers_agrees(void **state) {
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    game(1, 80000,
         (struct alm_heap_options){.base_pointers_only = true,
                                   .first_bytes = 128 * KIB,
                                   .markers = 1 + i % 4,
                                   .check = i % 3});
  }
}

static void one_thread_that_collects_all_the_time_agrees(void **state) {
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    game(1, 20000,
         (struct alm_heap_options){.base_pointers_only = i % 2,
                                   .collect_every = 2 + 3 * i,
                                   .markers = 1 + i % 4,
                                   .check = 2});
  }
}

static void one_thread_near_the_limit_agrees(void **state) {
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    game(1, 60000,
         (struct alm_heap_options){
             .limit_bytes = 192 * MIB, .gc_percent = 100000, .check = 1});
  }
}

static void four_threads_agree_with_their_models(void **state) {
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    game(4, 40000,
         (struct alm_heap_options){.first_bytes = 512 * KIB,
                                   .base_pointers_only = i % 2,
                                   .markers = 1 + i % 4,
                                   .check = i % 3});
  }
}

static void eight_threads_agree_with_their_models(void **state) {
  (void)state;
  for (unsigned i = 0; i < 3; i++) {
    game(8, 20000,
         (struct alm_heap_options){.collect_every = i == 1 ? 50 : 0,
                                   .gc_percent = i == 2 ? 20 : 0,
                                   .markers = 1 + i,
                                   .check = i % 3});
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_thread_agrees_with_the_model),
      cmocka_unit_test(one_thread_with_base_pointers_agrees),
      cmocka_unit_test(one_thread_that_collects_all_the_time_agrees),
      cmocka_unit_test(one_thread_near_the_limit_agrees),
      cmocka_unit_test(four_threads_agree_with_their_models),
      cmocka_unit_test(eight_threads_agree_with_their_models),
  };
  (void)seed_take();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
