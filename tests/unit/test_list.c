/* base/list.h */
#include "support.h"

#include "base/list.h"

struct item {
  int number;
  struct list_node link;
};

static void expect(const struct list_node *head, const char *digits) {
  const struct list_node *n = head->next;
  for (; *digits; digits++, n = n->next) {
    assert_ptr_not_equal(n, head);
    assert_int_equal(LIST_ELEMENT(n, struct item, link)->number, *digits - '0');
    assert_true(n->prev->next == n && n->next->prev == n);
  }
  assert_ptr_equal(n, head);
}

static void nodes_keep_their_order(void **state) {
  (void)state;
  struct list_node head;
  struct item items[5];
  list_init(&head);
  for (int i = 0; i < 5; i++) {
    items[i].number = i;
    list_init(&items[i].link);
  }
  assert_true(list_is_empty(&head));
  list_push_back(&head, &items[1].link);
  list_push_back(&head, &items[2].link);
  list_push_front(&head, &items[0].link);
  list_insert_after(&items[1].link, &items[3].link);
  expect(&head, "0132");
  assert_false(list_is_empty(&head));
}

static void removed_node_points_to_itself(void **state) {
  (void)state;
  struct list_node head;
  struct item a = {1, {NULL, NULL}}, b = {2, {NULL, NULL}};
  list_init(&head);
  list_push_back(&head, &a.link);
  list_push_back(&head, &b.link);
  list_remove(&a.link);
  assert_ptr_equal(a.link.next, &a.link);
  assert_ptr_equal(a.link.prev, &a.link);
  list_remove(&a.link); /* harmless */
  expect(&head, "2");
  list_remove(&b.link);
  assert_true(list_is_empty(&head));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_keep_their_order),
      cmocka_unit_test(removed_node_points_to_itself),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
