// struct task_group is in no public header: a stub of its first member, where a program uses it and nobody defines it.
@task_group_known@
@@
  struct task_group { ... };

@task_group_used depends on !task_group_known@
expression task;
identifier member;
@@
  task->sched_task_group->member

@missing_kernel_struct depends on task_group_used@
@@
  #include <linux/sched.h>
+ struct task_group {
+ 	struct cgroup_subsys_state css;
+ };
