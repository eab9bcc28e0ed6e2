/* tests/compat/libgc/plugin_pointers.c -- a library whose variables are the
 * only ones that hold some objects: in data, in bss and thread-local. */
void *plugin_data[100] = {(void *)1};
void *plugin_bss[100];
__thread void *plugin_tls[100];

void **plugin_of_kind(int kind) {
  return kind == 0 ? plugin_data : kind == 1 ? plugin_bss : plugin_tls;
}
