/* mem/sizeclass.c -- see sizeclass.h. */
#include "sizeclass.h"

#define MAGIC(size) ((uint32_t)((((uint64_t)1 << 32) + (size)-1) / (size)))

const struct sizeclass sizeclasses[SIZECLASS_COUNT] = {
#define X(class, size, pages, slots, tail)                                     \
  [class] = {size, MAGIC(size), slots, pages},
    SIZECLASS_TABLE(X)
#undef X
};

const uint8_t sizeclass_lookup_8[129] = {SIZECLASS_LOOKUP_8};
const uint8_t sizeclass_lookup_128[249] = {SIZECLASS_LOOKUP_128};

unsigned sizeclass_for_aligned(size_t size, size_t align) {
  if (size > SMALL_BYTES_MAX || align > PAGE_BYTES) {
    return SIZECLASS_NONE;
  }
  for (unsigned i = sizeclass_for(size); i < SIZECLASS_COUNT; i++) {
    if (sizeclasses[i].object_bytes % align == 0) {
      return i;
    }
  }
  return SIZECLASS_NONE;
}
