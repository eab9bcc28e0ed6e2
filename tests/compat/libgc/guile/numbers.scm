;; Bignums, rationals and reals: every intermediate result is garbage.
(use-modules (suite) (srfi srfi-1) (srfi srfi-60))
(define (factorial n) (if (zero? n) 1 (* n (factorial (- n 1)))))
(define (fibonacci n)
  (let loop ((a 0) (b 1) (n n)) (if (zero? n) a (loop b (+ a b) (- n 1)))))
(define (digits n) (string-length (number->string n)))
(expect "1,000! has its digits" 2568 (digits (factorial 1000)))
(expect "2,000! / 1,998! is exact" (* 2000 1999)
        (/ (factorial 2000) (factorial 1998)))
(expect "the 20,000th Fibonacci number modulo a prime"
        (modulo (fibonacci 20000) 1000000007)
        (let loop ((a 0) (b 1) (n 20000))
          (if (zero? n) a (loop b (modulo (+ a b) 1000000007) (- n 1)))))
(expect "neighbours in Fibonacci's row have no common divisor" 1
        (gcd (fibonacci 3000) (fibonacci 3001)))
(expect "a harmonic sum stays exact" '(true 433)
        (let ((h (fold (lambda (n sum) (+ sum (/ 1 n))) 0 (iota 1000 1))))
          (list (if (= h (+ (- h 1/7) 1/7)) 'true 'false)
                (digits (denominator h)))))
(expect "numbers survive text in every base" '()
        (filter (lambda (base)
                  (let ((n (expt 12345 77)))
                    (not (= n (string->number (number->string n base) base)))))
                (iota 35 2)))
(expect "modular exponentiation" 1 (modulo-expt 3 1000002 1000003))
(expect "exact square roots" (expt 7 200)
        (call-with-values (lambda () (exact-integer-sqrt (expt 7 400)))
          (lambda (root rest) (+ root rest))))
(define next! (numbers-from 1))
(expect "quotient and remainder meet again, 2,000 times" 0
        (count (lambda (i)
                 (let ((a (* (expt (+ 2 (next! 1000)) 40) (- 1 (* 2 (next! 2)))))
                       (b (expt (+ 2 (next! 1000)) (+ 1 (next! 20)))))
                   (not (= a (+ (* b (quotient a b)) (remainder a b))))))
               (iota 2000)))
(expect "bits of bignums" '(1000 1001 0)
        (let ((n (- (ash 1 1000) 1)))
          (list (logcount n) (integer-length (+ n 1)) (logand n (ash 1 1000)))))
(expect "a million boxed reals" 500000.0
        (let loop ((i 0) (sum 0.0))
          (if (= i 1000000) sum (loop (+ i 1) (+ sum 0.5)))))
(expect "complex numbers" -4.0+0.0i
        (let loop ((i 0) (z 1)) (if (= i 4) z (loop (+ i 1) (* z 1+i)))))
(expect "a large number printed" "107150860718626732094842504906000181056140481\
17055336074437503883703510511249361224931983788156958581275946729175531468251871\
45285692314043598457757469857480393456777482423098542107460506237114187795418215\
30464749835819412673987675591655439460770629145711964776865421676604298316526243\
86837205668069376" (number->string (expt 2 1000)))
(finish)
