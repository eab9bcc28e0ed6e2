/* os/conf.c -- see conf.h. */
#include "conf.h"

#include "base/atomic.h"
#include "base/diag.h"
#include "os.h"

#include <string.h>

enum conf_type { TYPE_bool, TYPE_count, TYPE_bytes, TYPE_ms, TYPE_text };
enum conf_when { WHEN_start, WHEN_any };

struct conf_row {
  const char *name;
  enum conf_type type;
  enum conf_when when;
  const char *default_value;
  uint64_t min;
  uint64_t max;
  const char *help;
};

static const struct conf_row conf_rows[CONF_COUNT] = {
#define X(name, type, def, min, max, when, help)                               \
  {#name,           TYPE_##type,     WHEN_##when, def,                         \
   (uint64_t)(min), (uint64_t)(max), help},
    CONF_OPTIONS(X)
#undef X
};

enum { TEXT_BYTES_MAX = 256 };

static struct {
  uint64_t numbers[CONF_COUNT];
  char text[TEXT_BYTES_MAX]; /* of the only text option, `record` */
  bool is_started;
} conf;

static int conf_find(const char *name, size_t length) {
  for (int i = 0; i < CONF_COUNT; i++) {
    if (strlen(conf_rows[i].name) == length &&
        memcmp(conf_rows[i].name, name, length) == 0) {
      return i;
    }
  }
  return -1;
}

/* Digits, then for bytes one of K M G T. False: not a number of the type. */
static bool conf_parse(const struct conf_row *row, const char *text,
                       size_t length, uint64_t *out) {
  uint64_t n = 0;
  size_t i = 0;
  for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
    if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
        __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n)) {
      return false;
    }
  }
  bool has_digits = i > 0;
  if (row->type == TYPE_bytes && i + 1 == length) {
    const char *units = "KMGT";
    const char *unit = memchr(units, text[i], 4);
    unsigned shift = unit ? 10u * ((unsigned)(unit - units) + 1) : 0;
    if (unit == NULL || n > UINT64_MAX >> shift) {
      return false;
    }
    n <<= shift;
    i++;
  }
  *out = n;
  return has_digits && i == length && n >= row->min && n <= row->max;
}

static enum alm_err conf_store(int id, const char *value, size_t length) {
  const struct conf_row *row = &conf_rows[id];
  if (row->type == TYPE_text) {
    if (length >= TEXT_BYTES_MAX) {
      return ALM_EVALUE;
    }
    memcpy(conf.text, value, length);
    conf.text[length] = '\0';
    return ALM_OK;
  }
  uint64_t n;
  if (!conf_parse(row, value, length, &n)) {
    return ALM_EVALUE;
  }
  atomic_store_relaxed(&conf.numbers[id], n);
  return ALM_OK;
}

/* `item` is "name=value", `length` long. */
static void conf_read_item(const char *item, size_t length) {
  char shown[64];
  size_t n = min_size(length, sizeof shown - 1);
  memcpy(shown, item, n);
  shown[n] = '\0';
  const char *equals = memchr(item, '=', length);
  size_t name_length = equals ? (size_t)(equals - item) : length;
  int id = conf_find(item, name_length);
  if (id < 0) {
    diag_line("option \"%s\" is unknown; `almacen options` lists them", shown);
    return;
  }
  if (equals == NULL || conf_store(id, equals + 1, length - name_length - 1)) {
    const struct conf_row *row = &conf_rows[id];
    if (row->type == TYPE_text) {
      diag_line("option \"%s\": expected %s=TEXT of at most %d bytes", shown,
                row->name, TEXT_BYTES_MAX - 1);
    } else {
      diag_line("option \"%s\": expected %s=NUMBER from %llu to %llu", shown,
                row->name, (unsigned long long)row->min,
                (unsigned long long)row->max);
    }
  }
}

void conf_init(void) {
  for (int i = 0; i < CONF_COUNT; i++) {
    const char *value = conf_rows[i].default_value;
    CHECK(conf_store(i, value, strlen(value)) == ALM_OK);
  }
  const char *text = os_getenv("ALMACEN");
  while (text != NULL && *text) {
    size_t length = strcspn(text, ",");
    if (length > 0) {
      conf_read_item(text, length);
    }
    text += length + (text[length] == ',');
  }
  conf.is_started = true;
}

uint64_t conf_number(enum conf_id id) {
  return atomic_load_relaxed(&conf.numbers[id]);
}

const char *conf_text(enum conf_id id) {
  ASSERT(conf_rows[id].type == TYPE_text);
  (void)id;
  return conf.text;
}

enum alm_err conf_set(const char *name, const char *value) {
  int id = name ? conf_find(name, strlen(name)) : -1;
  if (id < 0) {
    return ALM_ENAME;
  }
  if (value == NULL) {
    return ALM_EVALUE;
  }
  if (conf_rows[id].when == WHEN_start && conf.is_started) {
    return ALM_ELATE;
  }
  return conf_store(id, value, strlen(value));
}

enum alm_err conf_get(const char *name, char *text, size_t size) {
  int id = name ? conf_find(name, strlen(name)) : -1;
  if (id < 0) {
    return ALM_ENAME;
  }
  if (text == NULL || size == 0) {
    return ALM_EINVAL;
  }
  if (conf_rows[id].type == TYPE_text) {
    diag_format(text, size, "%s", conf.text);
  } else {
    diag_format(text, size, "%llu",
                (unsigned long long)conf_number((enum conf_id)id));
  }
  return ALM_OK;
}

enum alm_err conf_list(size_t index, struct alm_option_info *out) {
  static const char *const types[] = {"bool", "count", "bytes", "ms", "text"};
  if (index >= CONF_COUNT || out == NULL) {
    return ALM_EINVAL;
  }
  const struct conf_row *row = &conf_rows[index];
  out->name = row->name;
  out->type = types[row->type];
  out->default_value = row->default_value;
  out->when = row->when == WHEN_start ? "start" : "any";
  out->help = row->help;
  return ALM_OK;
}
