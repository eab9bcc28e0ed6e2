/* gc.h -- the older address of <gc/gc.h>. */
#include "gc/gc.h"
