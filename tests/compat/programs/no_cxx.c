/* tests/compat/programs/no_cxx.c -- a C program that calls C++'s operator new
 * for more than there is: nothing in the process can throw. */
#include <stddef.h>

extern void *_Znwm(size_t size);

int main(void) {
  return _Znwm((size_t)1 << 62) != NULL;
}
