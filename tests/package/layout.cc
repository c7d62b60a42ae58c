// SPDX-License-Identifier: Apache-2.0
// Messages of protos in folders of their packages, whose packages import each
// other, and of which one lies elsewhere.

#include "order/v1/order.pb.h"

int main() {
  outside::order::v1::Order order;
  order.mutable_buyer()->mutable_balance()->set_units(1);
  order.mutable_buyer()->add_orders()->set_id("1");
  return order.ByteSizeLong() > 0 ? 0 : 1;
}
