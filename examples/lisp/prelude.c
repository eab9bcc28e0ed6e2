/* prelude.c -- the part of the language that is written in it; see lisp.h. */
#include "lisp.h"

const char *const prelude[] = {
    "(define (with-handler handler thunk)"
    "  (guard (e (#t (handler e))) (thunk)))",
    "(define-macro (assert test)"
    "  `(if ,test #t (error \"assertion failed\" ',test)))",
    "(define (even? n) (= 0 (remainder n 2)))",
    "(define (odd? n) (not (= 0 (remainder n 2))))",
    "(define (positive? n) (> n 0))",
    "(define (negative? n) (< n 0))",
    /* lists */
    "(define (fold-right f init l)"
    "  (fold-left (lambda (a b) (f b a)) init (reverse l)))",
    "(define (reduce f init l)"
    "  (if (null? l) init (fold-left (lambda (a b) (f b a)) (car l) (cdr l))))",
    "(define (delete x l) (filter (lambda (y) (not (equal? x y))) l))",
    "(define (last-pair l) (if (pair? (cdr l)) (last-pair (cdr l)) l))",
    "(define (list-copy l) (append l '()))",
    "(define (iota n . start)"
    "  (let loop ((i (- n 1)) (out '()))"
    "    (if (< i 0) out"
    "        (loop (- i 1)"
    "              (cons (+ i (if (pair? start) (car start) 0)) out)))))",
    "(define (append-map f . ls) (apply append (apply map f ls)))",
    /* vectors */
    "(define (vector-map f . vs)"
    "  (list->vector (apply map f (map vector->list vs))))",
    "(define (vector-for-each f . vs)"
    "  (apply for-each f (map vector->list vs)))",
    /* strings */
    "(define (string-join l between)"
    "  (let ((out (open-output-string)))"
    "    (let loop ((l l))"
    "      (when (pair? l)"
    "        (string-add! out (car l))"
    "        (when (pair? (cdr l)) (string-add! out between))"
    "        (loop (cdr l))))"
    "    out))",
    "(define (string-split s between)"
    "  (let loop ((start 0) (out '()))"
    "    (let ((i (string-search s between start)))"
    "      (if i"
    "          (loop (+ i (string-length between))"
    "                (cons (substring s start i) out))"
    "          (reverse (cons (substring s start) out))))))",
    "(define (with-output-to-string thunk)"
    "  (let ((out (open-output-string)) (before #f))"
    "    (dynamic-wind (lambda () (set! before (set-output-port! out)))"
    "                  thunk"
    "                  (lambda () (set-output-port! before)))"
    "    out))",
    "(define (string . l)"
    "  (with-output-to-string (lambda () (for-each display l))))",
    /* hash tables */
    "(define (hash-table-update! t key f default)"
    "  (hash-table-set! t key (f (hash-table-ref t key default))))",
    "(define (hash-table-contains? t key)"
    "  (let ((none (list 1))) (not (eq? none (hash-table-ref t key none)))))",
    "(define (hash-table-keys t) (map car (hash-table->alist t)))",
    "(define (hash-table-values t) (map cdr (hash-table->alist t)))",
    "(define (hash-table-walk t f)"
    "  (for-each (lambda (e) (f (car e) (cdr e))) (hash-table->alist t)))",
    /* threads */
    "(define (with-mutex m thunk)"
    "  (dynamic-wind (lambda () (mutex-lock! m)) thunk"
    "                (lambda () (mutex-unlock! m))))",
    /* records: (define-record-type name (make field ...) test
                  (field get [set]) ...) */
    "(define-macro (define-record-type name make test . fields)"
    "  (let ((index (lambda (field)"
    "                 (let loop ((l fields) (i 1))"
    "                   (if (eq? (caar l) field) i"
    "                       (loop (cdr l) (+ i 1)))))))"
    "    `(begin"
    "       (define ,make"
    "         (make-record ',name"
    "           ,@(map (lambda (f) (if (memq (car f) (cdr make)) (car f) #f))"
    "                  fields)))"
    "       (define (,test r) (record? r ',name))"
    "       ,@(append-map"
    "          (lambda (f)"
    "            (cons"
    "              `(define (,(cadr f) r)"
    "                 (record-ref r ',name ,(index (car f))))"
    "              (if (null? (cddr f)) '()"
    "                `((define (,(caddr f) r v)"
    "                    (record-set! r ',name ,(index (car f)) v))))))"
    "          fields))))",
};

const size_t prelude_lines = sizeof prelude / sizeof prelude[0];
