#!/bin/bash
# ECL: Lisp read as source, compiled to a native module and loaded; conses,
# tables, numbers, objects, conditions, finalizers, weak pointers, threads.
. "$(dirname "$0")/libgc.sh"
need_client ecl
HOME=$work
export HOME

cp "$here/libgc/lisp.lsp" .
compare_gc "interpreted" 30 ecl --norc --shell lisp.lsp
if command -v gcc >/dev/null 2>&1 && [ -n "$(ecl-config --cflags 2>/dev/null)" ]
then
  compare_gc "compiling" 30 ecl --norc --eval \
    '(progn (compile-file "lisp.lsp" :verbose nil :print nil)
            (ext:quit (if (probe-file "lisp.fas") 0 1)))'
  compare_gc "compiled" 30 ecl --norc --load lisp.fas
else
  note "no compiler for ECL is installed: tested with its interpreter only"
fi
compare_gc "functions compiled while it runs" 30 ecl --norc --eval \
  '(progn (ext:install-bytecodes-compiler)
     (print (loop for i below 300
              sum (funcall (compile nil `(lambda (x) (+ x ,i))) 1)))
     (ext:quit 0))'
exit 0
