#ifndef SLUICE_TESTS_INSTALL_CHECK_H_
#define SLUICE_TESTS_INSTALL_CHECK_H_

#include <stdio.h>
#include <stdlib.h>

/* Ends the program with 1 and the place where the condition does not hold. */
#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                  \
    }                                                                           \
  } while (0)

#endif
