/* gc_cpp.h -- the older address of <gc/gc_cpp.h>. */
#include "gc/gc_cpp.h"
