/* tests/compat/libgc/plugin_functions.c -- the library that functions_loading
 * loads: static data and nothing else. */
void *plugin_pointers[100];
void *plugin_more_pointers[100] = {plugin_pointers};
