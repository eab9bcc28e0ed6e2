/* examples/first.c -- almacen beside the system's malloc; as in README.md.
 *
 *     cc -Iinclude examples/first.c -Lbuild/lib -lalmacen -o first
 */
#include <almacen.h>
#include <stdio.h>

int main(void) {
  char *text = alm_malloc(1000);
  text = alm_realloc(text, 100000);
  printf("%zu bytes may be used\n", alm_malloc_usable_size(text));
  alm_free(text);
  return alm_check() ? 0 : 1;
}
