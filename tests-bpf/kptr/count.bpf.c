// SPDX-License-Identifier: GPL-2.0-only
/* How many references there are to what the other programs here keep. */
#include "kptr.h"

int users = 0;

SEC("?tc")
int count(struct __sk_buff *skb)
{
	OBJECT *object = acquire();

	if (!object)
		return 0;
	/* without the one held here */
	users = COUNT(object) - 1;
	release(object);
	return 1;
}

char _license[] SEC("license") = "GPL";
