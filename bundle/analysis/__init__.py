"""Objects of stacks: the whole way in one command, and the comparison of groups."""
