;; bench/libgc/trees.scm -- binary trees, made and dropped, under Guile.
;; Argument: the depth of the tree that stays.

(define (make depth)
  (if (= depth 0)
      (cons '() '())
      (cons (make (- depth 1)) (make (- depth 1)))))

(define (nodes tree)
  (if (null? (car tree))
      1
      (+ 1 (nodes (car tree)) (nodes (cdr tree)))))

(define depth (string->number (cadr (command-line))))
(define kept (make depth))

(let level ((d 4))
  (when (<= d depth)
    (let again ((i (ash 1 (+ (- depth d) 4))) (sum 0))
      (if (> i 0)
          (again (- i 1) (+ sum (nodes (make d))))
          (format #t "depth ~a: ~a nodes\n" d sum)))
    (level (+ d 4))))
(format #t "kept: ~a nodes\n" (nodes kept))
