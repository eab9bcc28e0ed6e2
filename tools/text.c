/* tools/text.c -- numbers, bars and untrusted text for a terminal.
 *
 * WHAT    Everything that depends on what the terminal can show: its width,
 *         colours, Unicode or ASCII.
 * HOW     Colours only on a terminal, unless NO_COLOR is set or TERM is
 *         dumb; Unicode when the locale's character set is UTF-8.
 */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
  WIDTH_MIN = 40,
  WIDTH_DEFAULT = 80,
  WIDTH_MAX = 110, /* longer lines are harder to read, not more telling      */
};

static int terminal_width(int fd) {
  const char *columns = getenv("COLUMNS");
  struct winsize size;
  long width = WIDTH_DEFAULT;

  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    width = size.ws_col;
  } else if (columns && strtol(columns, NULL, 10) > 0) {
    width = strtol(columns, NULL, 10);
  }
  if (width < WIDTH_MIN) return WIDTH_MIN;
  return width > WIDTH_MAX ? WIDTH_MAX : (int)width;
}

void text_init(struct text *text, FILE *out, int fd) {
  const char *no_colour = getenv("NO_COLOR");
  const char *term = getenv("TERM");

  setlocale(LC_CTYPE, "");
  *text = (struct text){
      .out = out,
      .width = terminal_width(fd),
      .is_utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8"),
      .has_colour = isatty(fd) && !(no_colour && *no_colour) && term && *term &&
                    strcmp(term, "dumb") != 0,
  };
}

const char *text_pick(const struct text *text, const char *utf8,
                      const char *ascii) {
  return text->is_utf8 ? utf8 : ascii;
}

/* ---- numbers ------------------------------------------------------------ */

struct text_number text_count(uint64_t n) {
  struct text_number number;
  char digits[24];
  size_t out = 0;

  snprintf(digits, sizeof digits, "%" PRIu64, n);
  const size_t length = strlen(digits);

  for (size_t i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) number.s[out++] = ',';
    number.s[out++] = digits[i];
  }
  number.s[out] = '\0';
  return number;
}

static struct text_number bytes(uint64_t count, const char *byte) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  struct text_number number;
  double value = (double)count / 1024;
  size_t unit = 0;

  if (count < 1024) {
    snprintf(number.s, sizeof number.s, "%" PRIu64 " %s", count, byte);
    return number;
  }
  /* 1023.95 would round to 1024.0. */
  while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
    value /= 1024;
    unit++;
  }
  snprintf(number.s, sizeof number.s, "%.1f %s", value, units[unit]);
  return number;
}

struct text_number text_bytes(uint64_t count) {
  return bytes(count, "B");
}

struct text_number text_column(uint64_t count) {
  return bytes(count, "B  ");
}

struct text_number text_time(uint64_t ns) {
  struct text_number number;
  const double ms = (double)ns / 1e6;
  const uint64_t seconds = (ns + 500000000) / 1000000000;

  if (ms < 999.95) {
    snprintf(number.s, sizeof number.s, "%.1f ms", ms);
  } else if (ms < 99995) {
    snprintf(number.s, sizeof number.s, "%.2f s", ms / 1e3);
  } else if (seconds < 3600) {
    snprintf(number.s, sizeof number.s, "%" PRIu64 ":%02" PRIu64 " min",
             seconds / 60, seconds % 60);
  } else {
    snprintf(number.s, sizeof number.s,
             "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " h", seconds / 3600,
             seconds / 60 % 60, seconds % 60);
  }
  return number;
}

struct text_number text_percent(double part, double whole) {
  struct text_number number;
  const double percent = whole > 0 ? 100 * part / whole : 0;

  snprintf(number.s, sizeof number.s, "%.1f %%", percent);
  return number;
}

struct text_number text_signal(int signal) {
  struct text_number number;
  const char *name = sigabbrev_np(signal);

  if (name) {
    snprintf(number.s, sizeof number.s, "SIG%s (%d)", name, signal);
  } else {
    snprintf(number.s, sizeof number.s, "signal %d", signal);
  }
  return number;
}

/* ---- what depends on the terminal --------------------------------------- */

void text_style(const struct text *text, enum text_style style) {
  static const char *const codes[] = {
      [TEXT_PLAIN] = "\033[0m",    [TEXT_TITLE] = "\033[1m",
      [TEXT_DIM] = "\033[2m",      [TEXT_BYTES] = "\033[36m",
      [TEXT_OBJECTS] = "\033[33m", [TEXT_GOOD] = "\033[32m",
      [TEXT_BAD] = "\033[31m",
  };

  if (text->has_colour) fputs(codes[style], text->out);
}

void text_heading(const struct text *text, const char *title,
                  const char *remark) {
  int used = (int)strlen(title) + 1;

  fputc('\n', text->out);
  text_style(text, TEXT_TITLE);
  fputs(title, text->out);
  text_style(text, TEXT_PLAIN);
  fputc(' ', text->out);
  text_style(text, TEXT_DIM);
  if (remark && *remark && used + (int)strlen(remark) + 4 < text->width) {
    fprintf(text->out, "%s ", remark);
    used += (int)strlen(remark) + 1;
  }
  for (; used < text->width; used++) {
    fputs(text_pick(text, "\u2500", "-"), text->out);
  }
  text_style(text, TEXT_PLAIN);
  fputc('\n', text->out);
}

void text_bar(const struct text *text, uint64_t part, uint64_t whole,
              int columns) {
  static const char *const eighths[] = {
      "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589",
  };
  const int steps = text->is_utf8 ? 8 : 1;
  const double share = whole ? (double)part / (double)whole : 0;
  int length = (int)(share * columns * steps + 0.5);

  if (part > 0 && length == 0) length = 1;
  if (length > columns * steps) length = columns * steps;
  const int full = length / steps;
  const int rest = length % steps;

  for (int i = 0; i < full; i++) {
    fputs(text_pick(text, "\u2588", "#"), text->out);
  }
  if (rest) fputs(eighths[rest], text->out);
  fprintf(text->out, "%*s", columns - full - (rest > 0), "");
}

/* One character of untrusted text: its bytes and columns, or that it has to
 * be replaced. */
struct glyph {
  size_t bytes;
  int columns;
  bool is_printable;
};

static struct glyph glyph_at(const struct text *text, const char *s,
                             mbstate_t *state) {
  const unsigned char first = (unsigned char)*s;
  wchar_t wide;

  if (first >= 0x20 && first < 0x7f) return (struct glyph){1, 1, true};
  if (first < 0x80 || !text->is_utf8) return (struct glyph){1, 1, false};
  const size_t length = mbrtowc(&wide, s, strlen(s), state);

  if (length == 0 || length > 8) {
    memset(state, 0, sizeof *state);
    return (struct glyph){1, 1, false};
  }
  const int columns = wcwidth(wide);

  if (columns < 0) return (struct glyph){length, 1, false};
  return (struct glyph){length, columns, true};
}

static int columns_of(const struct text *text, const char *s) {
  mbstate_t state = {0};
  int columns = 0;

  while (*s) {
    const struct glyph glyph = glyph_at(text, s, &state);

    columns += glyph.columns;
    s += glyph.bytes;
  }
  return columns;
}

int text_clean(const struct text *text, const char *s, int columns) {
  const bool is_cut = columns_of(text, s) > columns;
  const char *ellipsis = text_pick(text, "\u2026", "~");
  mbstate_t state = {0};
  int used = 0;

  while (*s) {
    const struct glyph glyph = glyph_at(text, s, &state);

    if (used + glyph.columns + (is_cut ? 1 : 0) > columns) break;
    if (glyph.is_printable) {
      fwrite(s, 1, glyph.bytes, text->out);
    } else {
      fputc('?', text->out);
    }
    used += glyph.columns;
    s += glyph.bytes;
  }
  if (is_cut && used < columns) {
    fputs(ellipsis, text->out);
    used++;
  }
  return used;
}

bool text_write(int fd, const char *bytes, size_t size) {
  while (size > 0) {
    const ssize_t put = write(fd, bytes, size);

    if (put < 0 && errno == EAGAIN) {
      /* The program left the terminal non-blocking. */
      struct pollfd ready = {.fd = fd, .events = POLLOUT};

      poll(&ready, 1, -1);
      continue;
    }
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    bytes += put;
    size -= (size_t)put;
  }
  return true;
}

/* ---- command lines ------------------------------------------------------ */

static bool is_quiet_character(char c) {
  static const char quiet[] = "%+,-./:=@_";

  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || (c & 0x80) || (c && strchr(quiet, c));
}

char *text_command(char **argv) {
  char *line = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&line, &size);

  if (!out) tool_die(TOOL_EXIT_FAILED, "out of memory");
  for (char **argument = argv; *argument; argument++) {
    bool is_plain = **argument != '\0';

    for (const char *c = *argument; *c; c++) {
      is_plain = is_plain && is_quiet_character(*c);
    }
    if (argument > argv) fputc(' ', out);
    if (is_plain) {
      fputs(*argument, out);
      continue;
    }
    fputc('\'', out);
    for (const char *c = *argument; *c; c++) {
      fputs(*c == '\'' ? "'\\''" : (char[]){*c, '\0'}, out);
    }
    fputc('\'', out);
  }
  if (fclose(out) != 0) tool_die(TOOL_EXIT_FAILED, "out of memory");
  return line;
}

/* The length of the UTF-8 sequence at `s`, or 0 when it is none. */
static size_t utf8_length(const unsigned char *s) {
  uint32_t point;
  size_t length;

  if (s[0] < 0x80) return 1;
  if (s[0] >= 0xc2 && s[0] < 0xe0) {
    length = 2;
    point = s[0] & 0x1f;
  } else if (s[0] >= 0xe0 && s[0] < 0xf0) {
    length = 3;
    point = s[0] & 0x0f;
  } else if (s[0] >= 0xf0 && s[0] < 0xf5) {
    length = 4;
    point = s[0] & 0x07;
  } else {
    return 0;
  }
  for (size_t i = 1; i < length; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
    point = point << 6 | (s[i] & 0x3f);
  }
  if (length == 3 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) {
    return 0;
  }
  if (length == 4 && (point < 0x10000 || point > 0x10ffff)) return 0;
  return length;
}

char *text_valid_utf8(const char *s) {
  static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
  char *copy = tool_grow(NULL, strlen(s) * 3 + 1, 1);
  char *out = copy;

  while (*s) {
    const size_t length = utf8_length((const unsigned char *)s);

    if (length == 0) {
      out = stpcpy(out, replacement);
      s++;
      continue;
    }
    memcpy(out, s, length);
    out += length;
    s += length;
  }
  *out = '\0';
  return copy;
}
