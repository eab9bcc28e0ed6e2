# The tests: every file that matches a wildcard below is one. 0 passes, 77 is
# a skip, anything else fails. ctest labels are the folder names.
#
# Variables a test sees: ALM_SOURCE_DIR, ALM_BUILD_DIR; ALM_SLOW=1 where code
# runs many times slower than usual (sanitizer, emulator), as a hint to do
# fewer rounds. Scripts and programs run in an empty directory of their own.

set(timeout_unit 120)
set(timeout_model 300)
set(timeout_sim 120)
set(timeout_fault 300)
set(timeout_gc 300)
set(timeout_stress 300)
set(timeout_compat 1800)
set(timeout_meta 300)

set(test_environment ALM_SOURCE_DIR=${PROJECT_SOURCE_DIR}
    ALM_BUILD_DIR=${PROJECT_BINARY_DIR})
if(ALM_SANITIZE OR CMAKE_CROSSCOMPILING)
  list(APPEND test_environment ALM_SLOW=1)
endif()

add_custom_target(tests)

# alm_test(<folder> <name> <command...>)
function(alm_test folder name)
  set(scratch ${PROJECT_BINARY_DIR}/scratch/${folder}/${name})
  file(MAKE_DIRECTORY ${scratch})
  set(environment ${test_environment})
  if(folder STREQUAL gc) # the collector looks for pointers on the real stack
    list(APPEND environment ASAN_OPTIONS=detect_stack_use_after_return=0)
  endif()
  add_test(NAME ${folder}/${name} COMMAND ${ARGN} WORKING_DIRECTORY ${scratch})
  set_tests_properties(${folder}/${name} PROPERTIES
    LABELS ${folder} SKIP_RETURN_CODE 77 TIMEOUT ${timeout_${folder}}
    ENVIRONMENT "${environment}")
endfunction()

# alm_test_program(<folder> <source>): defines the target and the test; the
# name of the target is returned in `target`.
function(alm_test_program folder source)
  cmake_path(GET source STEM name)
  set(target ${folder}-${name})
  add_executable(${target} EXCLUDE_FROM_ALL ${source})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${folder})
  target_link_libraries(${target} PRIVATE Threads::Threads)
  add_dependencies(tests-${folder} ${target})
  alm_test(${folder} ${name} ${target})
  set(target ${target} PARENT_SCOPE)
endfunction()

function(alm_test_folder folder)
  add_custom_target(tests-${folder})
  add_dependencies(tests tests-${folder})
endfunction()

# Programs that see the internals.
foreach(folder unit model sim fault gc stress)
  alm_test_folder(${folder})
  file(GLOB sources CONFIGURE_DEPENDS tests/${folder}/test_*.c)
  foreach(source ${sources})
    alm_test_program(${folder} ${source})
    target_include_directories(${target} PRIVATE tests)
    target_link_libraries(${target} PRIVATE almacen_core)
    if(ALM_CMOCKA_ROOT)
      target_include_directories(${target} PRIVATE ${ALM_CMOCKA_ROOT}/include)
      target_link_libraries(${target} PRIVATE
        ${ALM_CMOCKA_ROOT}/lib/libcmocka.so)
    else()
      target_link_libraries(${target} PRIVATE cmocka)
    endif()
  endforeach()
endforeach()

# Heaps whose threads are stopped by signals pass the same tests.
foreach(name test_mirror test_specials test_stacks test_threads)
  alm_test(gc ${name}-uncooperative gc-${name})
  set_property(TEST gc/${name}-uncooperative APPEND PROPERTY ENVIRONMENT
    ALM_TEST_CONTRACT=uncooperative)
endforeach()

# Public programs and scripts, under the malloc face.
if(TARGET almacen_malloc AND NOT CMAKE_CROSSCOMPILING)
  alm_test_folder(compat)
  add_dependencies(tests-compat ${products} almacen_gc)
  if(TARGET almacen_gcprobe)
    add_dependencies(tests-compat almacen_gcprobe)
  endif()
  file(GLOB programs CONFIGURE_DEPENDS tests/compat/test_*.c)
  file(GLOB cxx_programs CONFIGURE_DEPENDS tests/compat/test_*.cpp)
  if(cxx_programs)
    enable_language(CXX)
    set(CMAKE_CXX_STANDARD 17)
  endif()
  foreach(source ${programs} ${cxx_programs})
    alm_test_program(compat ${source})
    # Not even an unused object may be optimised away.
    target_compile_options(${target} PRIVATE -fno-builtin)
    target_link_libraries(${target} PRIVATE almacen_malloc)
  endforeach()

  file(GLOB scripts CONFIGURE_DEPENDS tests/compat/test_*.sh
       tests/compat/test_*.py)
  if(NOT ALM_BUILD STREQUAL release)
    list(FILTER scripts EXCLUDE REGEX "/test_bench_") # measures; says nothing
    # our headers and others' programs: what a debug build would find in them,
    # it finds in the programs of ours that stay
    list(FILTER scripts EXCLUDE REGEX
         "/test_libgc_(bench|headers|guile|ecl|w3m|neko|clients)")
  endif()
  foreach(script ${scripts})
    cmake_path(GET script STEM name)
    cmake_path(GET script EXTENSION suffix)
    if(suffix STREQUAL .py)
      alm_test(compat ${name} python3 ${script})
    else()
      alm_test(compat ${name} bash ${script})
    endif()
  endforeach()
endif()

# Checks of the tree itself.
if(NOT ALM_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
  alm_test_folder(meta)
  add_dependencies(tests-meta ${products} almacen_gc)
  foreach(source ${generators})
    cmake_path(GET source STEM name)
    add_dependencies(tests-meta ${name})
  endforeach()
  file(GLOB checks CONFIGURE_DEPENDS tests/meta/check-*)
  foreach(check ${checks})
    cmake_path(GET check FILENAME name)
    alm_test(meta ${name} ${check})
  endforeach()
endif()
