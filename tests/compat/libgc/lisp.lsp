;;; lisp.lsp -- what ECL does with its collector, each line checked and the same
;;; on every collector. Loaded as source and compiled to a native module.
(defvar *failures* 0)
(defmacro expect (sentence expected form)
  `(let ((value ,form))
     (unless (equalp value ,expected) (incf *failures*))
     (format t "~:[WRONG~;as expected~]: ~a: ~s~%" (equalp value ,expected)
             ,sentence value)
     (finish-output)))

(defun churn (n)
  (let ((l nil))
    (dotimes (i n) (setf l (if (zerop (mod i 100)) nil (cons (list i) l))))
    (length l)))

;; Conses and deep recursion.
(defun numbers (n) (loop for i below n collect i))
(expect "a long list" 4999950000 (reduce #'+ (numbers 100000)))
(expect "sorted again" t
        (equal (numbers 20000)
               (sort (loop for i below 20000 collect (mod (* i 12347) 20000))
                     #'<)))
(defun build (n) (if (zerop n) nil (cons n (build (- n 1)))))
(expect "a list built by 3,000 frames" 3000 (length (build 3000)))
(defun tree (d) (if (zerop d) nil (cons (tree (1- d)) (tree (1- d)))))
(defun nodes (tr) (if tr (+ 1 (nodes (car tr)) (nodes (cdr tr))) 0))
(expect "trees" '(16383 8160)
        (let ((long (tree 14)))
          (list (nodes long) (loop repeat 32 sum (nodes (tree 8))))))
(expect "a circular list" '(0 1 2 0 1)
        (let ((ring (list 0 1 2)))
          (setf (cdddr ring) ring) (churn 100000) (ext:gc t)
          (loop repeat 5 for x in ring collect x)))

;; Tables.
(expect "20,000 strings by value" 20000
        (let ((table (make-hash-table :test #'equal)))
          (dotimes (i 20000)
            (setf (gethash (format nil "k~d" i) table) (list i)))
          (churn 100000) (ext:gc t)
          (loop for i below 20000
                count (equal (list i) (gethash (format nil "k~d" i) table)))))
(expect "objects by identity, after collections" 10000
        (let ((table (make-hash-table :test #'eq))
              (keys (loop for i below 10000 collect (list i))))
          (dolist (k keys) (setf (gethash k table) (car k)))
          (ext:gc t) (churn 100000) (ext:gc t)
          (loop for k in keys count (eql (car k) (gethash k table)))))
(expect "removed and refilled" 5000
        (let ((table (make-hash-table)))
          (dotimes (i 10000) (setf (gethash i table) i))
          (loop for i below 10000 by 2 do (remhash i table))
          (hash-table-count table)))

;; Strings, numbers, arrays.
(expect "strings written piece by piece" 60000
        (length (with-output-to-string (s)
                  (dotimes (i 10000) (format s "~6,'0d" i)))))
(expect "wide strings" '(3 955)
        (let ((s (coerce (list #\a (code-char 955) #\b) 'string)))
          (list (length s) (char-code (char (reverse s) 1)))))
(defun fact (n) (if (< n 2) 1 (* n (fact (1- n)))))
(expect "1,000!" 2568 (length (princ-to-string (fact 1000))))
(expect "2,000!/1,998!" 3998000 (/ (fact 2000) (fact 1998)))
(expect "rationals" 433
        (length (princ-to-string
                 (denominator (loop for i from 1 to 1000 sum (/ 1 i))))))
(expect "reals" 50000.0d0 (loop repeat 100000 sum 0.5d0))
(expect "an array of arrays" 499500
        (let ((a (make-array 1000)))
          (dotimes (i 1000)
            (setf (aref a i) (make-array 100 :initial-element i)))
          (ext:gc t)
          (loop for row across a sum (aref row 99))))
(expect "a vector that grows" 100000
        (let ((v (make-array 1 :adjustable t :fill-pointer 0)))
          (dotimes (i 100000) (vector-push-extend (list i) v))
          (loop for x across v for i from 0 count (= i (car x)))))
(expect "bytes" 255000
        (let ((b (make-array 1000000 :element-type '(unsigned-byte 8)
                                     :initial-element 255)))
          (loop for i below 1000000 by 1000 sum (aref b i))))

;; Objects and conditions.
(defclass shape () ((name :initarg :name :accessor name)))
(defclass circle (shape) ((r :initarg :r :reader r)))
(defclass square (shape) ((a :initarg :a :reader a)))
(defgeneric area (s))
(defmethod area ((c circle)) (* 3 (r c) (r c)))
(defmethod area ((s square)) (* (a s) (a s)))
(defmethod area :around ((s shape)) (1+ (call-next-method)))
(expect "dispatch over 4,000 objects" 12000
        (loop for i below 4000
              sum (area (if (evenp i) (make-instance 'circle :r 1)
                            (make-instance 'square :a 1)))))
(defstruct point x y)
(expect "structures" 20000
        (let ((all (loop for i below 20000
                         collect (make-point :x i :y (list i)))))
          (ext:gc t)
          (loop for p in all count (= (point-x p) (car (point-y p))))))
(define-condition trouble (error) ((what :initarg :what :reader what)))
(expect "10,000 conditions handled" 10000
        (loop repeat 10000
              count (handler-case (error 'trouble :what (list 1))
                      (trouble (c) (equal '(1) (what c))))))
(expect "restarts" 42
        (handler-bind ((trouble (lambda (c) (declare (ignore c))
                                  (invoke-restart 'use-it 42))))
          (restart-case (error 'trouble :what nil) (use-it (x) x))))
(expect "cleanups in order" '(1 2 3)
        (let ((seen nil))
          (catch 'out
            (unwind-protect
                 (unwind-protect (throw 'out nil) (churn 1000) (push 1 seen))
              (push 2 seen)))
          (push 3 seen) (reverse seen)))
(expect "closures" 100000
        (let ((all (loop for i below 50000
                         collect (let ((n 0)) (lambda () (incf n))))))
          (mapc #'funcall all) (ext:gc t)
          (reduce #'+ (mapcar #'funcall all))))
(expect "evaluated at run time" 4950
        (loop for i below 100 sum (funcall (eval `(lambda () ,i)))))

;; Weak pointers, finalizers, collections.
(defvar *finalized* 0)
(defun drop-finalized (n)
  (dotimes (i n)
    (ext:set-finalizer (make-array 20 :initial-element i)
                       (lambda (o) (declare (ignore o)) (incf *finalized*))))
  nil)
(drop-finalized 500)
(loop repeat 20 until (> *finalized* 250) do (ext:gc t) (churn 20000))
(expect "most of what is dropped is finalized" t (> *finalized* 250))
(expect "what is held is not" 0
        (let ((n 0) (held (loop for i below 100 collect (make-array 20))))
          (dolist (o held)
            (ext:set-finalizer o (lambda (o) (declare (ignore o)) (incf n))))
          (ext:gc t) (churn 20000) (ext:gc t)
          (dolist (o held) (ext:set-finalizer o nil))
          n))
(defvar *held* (list 1 2))
(expect "a weak pointer to what is held" *held*
        (let ((w (ext:make-weak-pointer *held*)))
          (ext:gc t) (ext:weak-pointer-value w)))
(defun weak-ones (n)
  (loop for i below n collect (ext:make-weak-pointer (make-array 10))))
(expect "weak pointers to what is not" t
        (let ((all (weak-ones 500)))
          (churn 50000) (ext:gc t) (ext:gc t)
          (> (count nil (mapcar #'ext:weak-pointer-value all)) 250)))
#+ecl-weak-hash
(expect "a weak table keeps what is held" 100
        (let ((table (make-hash-table :test #'eq :weakness :key))
              (held (loop for i below 100 collect (list i))))
          (dolist (k held) (setf (gethash k table) t))
          (loop for i below 1000 do (setf (gethash (list i) table) t))
          (churn 50000) (ext:gc t) (ext:gc t)
          (loop for k in held count (gethash k table))))

;; Threads.
(defun in-threads (n function)
  (let ((threads (loop for i below n
                       collect (let ((i i))
                                 (mp:process-run-function
                                  'worker (lambda () (funcall function i)))))))
    (mapcar #'mp:process-join threads)))
(defun good-list (n)
  (let ((l (loop for i below n collect (cons i (princ-to-string i)))))
    (every (lambda (p) (equal (cdr p) (princ-to-string (car p)))) l)))
(expect "8 threads build and check lists" '(t t t t t t t t)
        (in-threads 8 (lambda (i) (declare (ignore i))
                        (loop repeat 5 always (good-list 500)))))
(expect "a counter behind a lock" 8000
        (let ((lock (mp:make-lock :name 'lock)) (n 0))
          (in-threads 8 (lambda (i) (declare (ignore i))
                          (dotimes (j 1000)
                            (mp:with-lock (lock)
                              (incf n (length (list j)))))))
          n))
(expect "80 threads, one after eight others" 80
        (loop repeat 10
              sum (length (in-threads 8 (lambda (i) (list i (churn 500)))))))
(expect "special variables are a thread's own" '(0 1 2 3 4 5 6 7)
        (in-threads 8 (lambda (i) (let ((*held* i)) (churn 5000) *held*))))
(expect "nothing failed" 0 *failures*)
(ext:quit (if (zerop *failures*) 0 1))
