// SPDX-License-Identifier: Apache-2.0
#pragma once

// The errno with which /proc could not be mounted before main(), or 0. Calling it also keeps the
// constructor in a static link.
int guestinit_early_error(void);
