# SPDX-License-Identifier: Apache-2.0
# verdict: OUTPUT_LIMIT
import sys

while True:
    sys.stdout.write("x" * 65536)
