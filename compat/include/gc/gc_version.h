/* gc/gc_version.h -- the version of libgc whose interface these headers are.
 *
 * WHAT    Numbers for the preprocessor; GC_get_version() tells those of the
 *         library that runs.
 */
#ifndef GC_VERSION_MAJOR
#define GC_VERSION_MAJOR 8
#define GC_VERSION_MINOR 2
#define GC_VERSION_MICRO 2
#elif GC_VERSION_MAJOR != 8 || GC_VERSION_MINOR != 2 || GC_VERSION_MICRO != 2
#error "GC_VERSION_MAJOR, _MINOR, _MICRO are of another libgc than this header"
#endif
