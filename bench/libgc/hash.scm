;; bench/libgc/hash.scm -- hash tables and strings under Guile.
;; Argument: how many keys.

(define n (string->number (cadr (command-line))))
(define table (make-hash-table))

(define (key i)
  (string-append "key-" (number->string i) "-" (number->string (* i 7919) 16)))

(define (words s)
  (string-split s #\-))

(do ((i 0 (+ i 1))) ((= i n))
  (hash-set! table (key i) (list i (string-upcase (key i)))))

;; Half of the keys go, others get a longer value.
(do ((i 0 (+ i 1))) ((= i n))
  (cond ((odd? i) (hash-remove! table (key i)))
        ((hash-ref table (key i))
         => (lambda (value)
              (hash-set! table (key i)
                         (append value (map string-length
                                            (words (cadr value)))))))))

;; Words are counted in a second table.
(define counts (make-hash-table))
(hash-for-each
 (lambda (k value)
   (for-each (lambda (word)
               (hash-set! counts word (+ 1 (hash-ref counts word 0))))
             (words (cadr value))))
 table)

(define longest
  (hash-fold (lambda (k v best) (max best (string-length k))) 0 counts))
(define text
  (string-join (sort (hash-map->list (lambda (k v) k) counts) string<?) " "))
(format #t "~a keys, ~a words, the longest of ~a, text of ~a\n"
        (hash-count (const #t) table) (hash-count (const #t) counts)
        longest (string-length text))
