; gc.scm -- what must survive collections, and what must not.
(define (check name got want)
  (unless (equal? got want) (error "FAILED" name 'got got 'want want)))
(define scale (if (pair? (command-line)) (string->number (car (command-line))) 100))
(define (stat name) (cdr (assq name (gc-stats))))

; trees
(define (tree d) (if (= d 0) '() (cons (tree (- d 1)) (tree (- d 1)))))
(define (count t) (if (null? t) 1 (+ (count (car t)) (count (cdr t)))))
(define kept (tree 10))
(do ((i 0 (+ i 1))) ((= i scale)) (check "short-lived tree" (count (tree 6)) 64))
(gc)
(check "long-lived tree" (count kept) 1024)

; a graph with cycles in a large vector, changed all the time, with a sum to
; know it by
(define n 300)
(define graph (make-vector n #f))
(do ((i 0 (+ i 1))) ((= i n)) (vector-set! graph i (vector i '())))
(define (link! i j)
  (vector-set! (vector-ref graph i) 1 (cons (vector-ref graph j) (vector-ref (vector-ref graph i) 1))))
(do ((i 0 (+ i 1))) ((= i (* 20 scale)))
  (let ((k (modulo (* i 7919) n)))
    (when (= (modulo i 50) 0) (vector-set! graph k (vector k '())))
    (link! k (modulo (* i 104729) n))))
(do ((i 0 (+ i 1))) ((= i n))
  (check "node" (vector-ref (vector-ref graph i) 0) i)
  (for-each (lambda (to) (check "linked node" (and (integer? (vector-ref to 0)) (< (vector-ref to 0) n)) #t))
            (vector-ref (vector-ref graph i) 1)))
(set! graph #f)

; weak boxes
(define strong (list 1 2 3))
(define box (make-weak-box strong))
(gc)
(check "weak box keeps nothing back" (weak-box-ref box) '(1 2 3))
(define (many-boxes k) (map (lambda (i) (make-weak-box (list i))) (iota k)))
(define boxes (many-boxes 100))
(define (deep k) (if (= k 0) 0 (+ 1 (deep (- k 1)))))
(deep 1000) ; other values where the old ones lay in the stack
(gc)
(define alive (length (filter weak-box-ref boxes)))
(check "weak boxes are cleared" (< alive 20) #t)

; symbols: bound ones stay, others go
(define (make-names k) (do ((i 0 (+ i 1))) ((= i k)) (string->symbol (string "name-" i))))
(eval (list 'define (string->symbol "only-by-string") ''found))
(define made (string->symbol "kept-by-a-variable"))
(define before (stat 'symbols))
(do ((i 0 (+ i 1))) ((= i 10)) (make-names 500) (gc))
(check "the symbol table does not grow" (< (stat 'symbols) (+ before 4000)) #t)
(check "a bound symbol survives" (eval (string->symbol "only-by-string")) 'found)
(check "a symbol in use is the same" (eq? made (string->symbol "kept-by-a-variable")) #t)
(check "a symbol comes again" (symbol->string (string->symbol "name-7")) "name-7")
(define-macro (twice x) `(* 2 ,x))
(gc)
(check "a macro survives" (eval (list (string->symbol "twice") 21)) 42)

; large objects
(define (large i) (let ((v (make-vector 5000 i))) (vector-set! v 4999 (list i)) v))
(define larges '())
(do ((i 0 (+ i 1))) ((= i scale))
  (let ((v (large i)))
    (when (= 0 (modulo i 10)) (set! larges (cons v larges)))
    (check "large vector" (vector-ref v 4999) (list i))))
(for-each (lambda (v) (check "kept large vector" (car (vector-ref v 4999)) (vector-ref v 0))) larges)
(define text (make-string 100000 #\x))
(gc)
(check "large string" (string-ref text 99999) #\x)

; deep structure: marking must not use the C stack
(define long (let loop ((i 0) (l '())) (if (< i (* 1000 scale)) (loop (+ i 1) (cons i l)) l)))
(gc)
(check "long list" (length long) (* 1000 scale))
(define nested (let loop ((i 0) (l '())) (if (< i (* 1000 scale)) (loop (+ i 1) (list l)) l)))
(gc)
(check "nested lists" (let loop ((i 0) (l nested)) (if (null? l) i (loop (+ i 1) (car l)))) (* 1000 scale))

(gc)
(check "statistics" (and (> (stat 'collections) 5) (> (stat 'live-objects) 100) (= (stat 'mutators) 1)) #t)
(check "the heap is whole" (gc-check) #t)
(display "ok gc\n")
