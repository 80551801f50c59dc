/* Which basic blocks have run: what -fsanitize-coverage=trace-pc calls in every block. */
#ifndef FASTLOG_COVERAGE_H
#define FASTLOG_COVERAGE_H
/* Blocks count only while it is on: those of the mutator are of no interest. */
void coverage_set(int on);
/* How many blocks ran for the first time since this was last asked. */
int coverage_fresh(void);
/* Everything counts as new again. */
void coverage_forget(void);
#endif
