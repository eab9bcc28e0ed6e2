/* base/list.h -- intrusive, circular, doubly linked lists.
 *
 * WHAT    A struct list_node inside the element, a struct list_node as the
 *         head. A node that is in no list points to itself.
 * LOCKS   The list's owner has one; nothing here is atomic.
 */
#ifndef ALM_BASE_LIST_H
#define ALM_BASE_LIST_H

#include "base.h"

struct list_node {
  struct list_node *next;
  struct list_node *prev;
};

#define LIST_ELEMENT(node, type, member)                                       \
  ((type *)(void *)((char *)(node)-offsetof(type, member)))

ALM_INLINE void list_init(struct list_node *n) {
  n->next = n;
  n->prev = n;
}

ALM_INLINE bool list_is_empty(const struct list_node *head) {
  return head->next == head;
}

ALM_INLINE void list_insert_after(struct list_node *at, struct list_node *n) {
  n->next = at->next;
  n->prev = at;
  at->next->prev = n;
  at->next = n;
}

ALM_INLINE void list_push_front(struct list_node *head, struct list_node *n) {
  list_insert_after(head, n);
}

ALM_INLINE void list_push_back(struct list_node *head, struct list_node *n) {
  list_insert_after(head->prev, n);
}

ALM_INLINE void list_remove(struct list_node *n) {
  n->prev->next = n->next;
  n->next->prev = n->prev;
  list_init(n);
}

#endif
