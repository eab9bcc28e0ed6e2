/* base/diag.c -- see diag.h. */
#include "diag.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 400 };

struct sink {
  char *text;
  size_t size;
  size_t used;
};

static void diag_put(struct sink *out, char c) {
  if (out->used + 1 < out->size) {
    out->text[out->used++] = c;
  }
}

static void diag_put_text(struct sink *out, const char *s) {
  for (s = s ? s : "(null)"; *s; s++) {
    diag_put(out, *s);
  }
}

static void diag_put_number(struct sink *out, uint64_t n, unsigned base) {
  char digits[20];
  size_t count = 0;
  do {
    digits[count++] = "0123456789abcdef"[n % base];
    n /= base;
  } while (n != 0);
  while (count > 0) {
    diag_put(out, digits[--count]);
  }
}

static void diag_put_signed(struct sink *out, int64_t n) {
  if (n < 0) {
    diag_put(out, '-');
  }
  diag_put_number(out, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 10);
}

/* One conversion; `f` is behind the %. Returns the character after it. */
static const char *diag_convert(struct sink *out, const char *f,
                                va_list *args) {
  unsigned longs = 0;
  for (; *f == 'l' || *f == 'z'; f++) {
    longs++;
  }
  switch (*f) {
  case 's':
    diag_put_text(out, va_arg(*args, const char *));
    break;
  case 'c':
    diag_put(out, (char)va_arg(*args, int));
    break;
  case 'd':
    diag_put_signed(out, longs ? va_arg(*args, int64_t) : va_arg(*args, int));
    break;
  case 'u':
  case 'x':
    diag_put_number(out,
                    longs ? va_arg(*args, uint64_t) : va_arg(*args, unsigned),
                    *f == 'u' ? 10 : 16);
    break;
  case 'p':
    diag_put_text(out, "0x");
    diag_put_number(out, (uintptr_t)va_arg(*args, void *), 16);
    break;
  default:
    diag_put(out, *f);
    break;
  }
  return *f ? f + 1 : f;
}

size_t diag_vformat(char *text, size_t size, const char *format, va_list args) {
  struct sink out = {text, size, 0};
  va_list copy;
  va_copy(copy, args);
  for (const char *f = format; *f;) {
    if (*f == '%') {
      f = diag_convert(&out, f + 1, &copy);
    } else {
      diag_put(&out, *f++);
    }
  }
  va_end(copy);
  if (size > 0) {
    text[out.used] = '\0';
  }
  return out.used;
}

size_t diag_format(char *text, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t n = diag_vformat(text, size, format, args);
  va_end(args);
  return n;
}

static void diag_write_line(const char *format, va_list args) {
  char text[LINE_BYTES_MAX];
  int saved = errno;
  size_t n = diag_format(text, sizeof text - 1, "almacen: ");
  n += diag_vformat(text + n, sizeof text - 1 - n, format, args);
  text[n++] = '\n';
  for (size_t done = 0; done < n;) {
    ssize_t wrote = write(STDERR_FILENO, text + done, n - done);
    if (wrote <= 0) {
      break; /* nobody reads stderr: there is nowhere else to say it */
    }
    done += (size_t)wrote;
  }
  errno = saved;
}

void diag_line(const char *format, ...) {
  va_list args;
  va_start(args, format);
  diag_write_line(format, args);
  va_end(args);
}

void diag_panic(const char *format, ...) {
  va_list args;
  va_start(args, format);
  diag_write_line(format, args);
  va_end(args);
  abort();
}

void diag_check_failed(const char *expression, const char *file, int line) {
  diag_panic("check failed: %s (%s:%d)", expression, file, line);
}

void diag_check_eq_failed(const char *expression, uint64_t a, uint64_t b,
                          const char *file, int line) {
  diag_panic("check failed: %s: %llu, %llu (%s:%d)", expression,
             (unsigned long long)a, (unsigned long long)b, file, line);
}
