/* header_all.c -- every header for C; header_facts.py asks what they say. */
#include <wchar.h>
#define GC_REQUIRE_WCSDUP
#include <gc.h>
#include <gc/gc.h>
#include <gc/gc_backptr.h>
#include <gc/gc_disclaim.h>
#include <gc/gc_gcj.h>
#include <gc/gc_inline.h>
#include <gc/gc_mark.h>
#include <gc/gc_typed.h>
#include <gc/javaxfc.h>
