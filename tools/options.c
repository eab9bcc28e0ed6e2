/* tools/options.c -- `almacen options`: the library's table of options.
 *
 * WHAT    Prints the rows alm_option_list gives, wrapped for a terminal or
 *         as the Markdown table that stands in doc/options.md.
 */
#include "tool.h"

#include <getopt.h>
#include <string.h>
#include <unistd.h>

/* A cell of a Markdown table: a bar would end it. */
static void put_cell(const char *s) {
  for (; *s; s++) {
    if (*s == '|') putchar('\\');
    putchar(*s);
  }
}

static void print_markdown(void) {
  struct alm_option_info row;

  puts("| option | type | default | when | what it does |");
  puts("|---|---|---|---|---|");
  for (size_t i = 0; alm_option_list(i, &row) == ALM_OK; i++) {
    printf("| `%s` | %s | ", row.name, row.type);
    if (*row.default_value) {
      putchar('`');
      put_cell(row.default_value);
      putchar('`');
    } else {
      putchar('-');
    }
    printf(" | %s | ", row.when);
    put_cell(row.help);
    puts(" |");
  }
}

/* `s` in lines of at most `columns`, broken at blanks, each line after the
 * first indented. */
static void print_wrapped(const char *s, int columns, int indent) {
  while (*s) {
    size_t length = strlen(s);
    size_t cut = length;

    if (length > (size_t)columns) {
      cut = (size_t)columns;
      while (cut > 0 && s[cut] != ' ') cut--;
      if (cut == 0) cut = (size_t)columns;
    }
    printf("%.*s\n", (int)cut, s);
    s += cut;
    while (*s == ' ') s++;
    if (*s) printf("%*s", indent, "");
  }
}

static void print_table(void) {
  struct alm_option_info row;
  struct text text;
  int name_columns = 6, default_columns = 7;

  for (size_t i = 0; alm_option_list(i, &row) == ALM_OK; i++) {
    const int name = (int)strlen(row.name);
    const int value = (int)strlen(row.default_value);

    if (name > name_columns) name_columns = name;
    if (value > default_columns) default_columns = value;
  }
  text_init(&text, stdout, STDOUT_FILENO);
  const int indent = name_columns + default_columns + 19;
  const int room = text.width - indent;

  text_style(&text, TEXT_TITLE);
  printf("%-*s  %-5s  %-*s  %-5s  what it does", name_columns, "option", "type",
         default_columns, "default", "when");
  text_style(&text, TEXT_PLAIN);
  putchar('\n');
  for (size_t i = 0; alm_option_list(i, &row) == ALM_OK; i++) {
    const char *value = *row.default_value ? row.default_value : "-";

    printf("%-*s  %-5s  %-*s  %-5s  ", name_columns, row.name, row.type,
           default_columns, value, row.when);
    print_wrapped(row.help, room > 24 ? room : 24, indent - 1);
  }
  puts("\nSet them with ALMACEN=name=value,name=value in the environment.");
}

int options_command(int argc, char **argv) {
  enum { MARKDOWN = 256 }; /* above every short option */
  static const struct option longs[] = {
      {"markdown", no_argument, NULL, MARKDOWN},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  bool markdown = false;
  int got;

  while ((got = getopt_long(argc, argv, "+:h", longs, NULL)) != -1) {
    switch (got) {
    case MARKDOWN:
      markdown = true;
      break;
    case 'h':
      tool_help(stdout, "options");
      return tool_finish_stdout();
    default:
      tool_bad_option("options", argv, got);
    }
  }
  if (optind < argc) {
    tool_die(TOOL_EXIT_USAGE,
             "options: unexpected argument '%s'; see almacen help options",
             argv[optind]);
  }
  if (markdown) {
    print_markdown();
  } else {
    print_table();
  }
  return tool_finish_stdout();
}
