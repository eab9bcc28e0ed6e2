/* tests/compat/libgc/plugin_tls.c -- a library with BYTES of thread-local
 * variables, for unloaded.c. */
static __thread char bytes[BYTES];

void plugin_touch(void);
void plugin_touch(void) {
  bytes[0]++;
}
